"""A server on bare sockets, for responses that no HTTP server would send."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

Serve = Callable[[socket.socket, threading.Event], object]


class RawServer:
    """Passes each request's socket to ``serve``, with the event that is set when the test is over.

    ``requests`` counts the requests received.
    """

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while True:
                request = b""
                while b"\r\n\r\n" not in request:
                    if not (piece := connection.recv(65536)):
                        return
                    request += piece
                self.requests += 1
                self._serve(connection, self._over)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.close()


def hang(_: socket.socket, over: threading.Event) -> None:
    """Never responds."""
    over.wait(60)


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Serve:
    """Sends ``head``, then ``piece`` forever."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(pause):
            connection.sendall(piece)

    return serve


def complete(body: bytes, *headers: str) -> Serve:
    """A complete response."""
    head = "\r\n".join(("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""))
    return lambda connection, _: connection.sendall(head.encode() + body)
