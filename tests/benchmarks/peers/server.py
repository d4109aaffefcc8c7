"""A lightweight local Graph server: ``python -m tests.benchmarks.peers.server <shape as JSON>``; prints its port.

Each response is sent in one write with Nagle's algorithm off: otherwise clients with persistent connections lose 40 ms
per call to delayed acknowledgements, and the comparison is unfair. Each connection sleeps for the latency on its own.
``/_count`` returns the number of calls by kind, which is the only count used, and the size of the responses.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import Counter

from tests.benchmarks.peers.shapes import Shape
from tests.benchmarks.peers.world import World


class Server:
    """Accepts connections until killed, with one thread for each."""

    def __init__(self, shape: Shape) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._latency = shape.latency_ms / 1000
        self._world = World(shape, f"http://127.0.0.1:{self.port}")
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._bytes = self._largest = 0

    def serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                while request := lines.readline():
                    keep = True
                    while (header := lines.readline()) not in (b"\r\n", b""):
                        keep = keep and header.lower().strip() != b"connection: close"
                    connection.sendall(self._respond(request.split()[1].decode()))
                    if not keep:
                        return
            except ConnectionError:
                return  # the client is done

    def _respond(self, target: str) -> bytes:
        if target == "/_count":
            counts = {"calls": self._counts, "bytes": self._bytes, "largest_answer": self._largest}
            return _response(200, json.dumps(counts).encode())
        received = time.perf_counter()
        try:
            kind, body = self._world.answer(target)
            status = 200
        except (LookupError, ValueError) as error:
            kind, status = "refused", 400
            body = json.dumps({"error": {"message": f"benchmark: {error}", "type": "Error", "code": 100}}).encode()
        with self._lock:
            self._counts[kind] += 1
            self._bytes += len(body)
            self._largest = max(self._largest, len(body))
        if (left := received + self._latency - time.perf_counter()) > 0:
            time.sleep(left)
        return _response(status, body)


def _response(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def main() -> None:
    server = Server(Shape.from_json(sys.argv[1]))
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
