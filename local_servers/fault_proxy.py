"""A proxy in front of a server, in the test process. It logs requests and makes them fail as configured."""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

UPSTREAM_TIMEOUT_SECONDS = 600.0
# Headers that belong to one connection rather than the message, or that are rewritten.
CONNECTION_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})
# With zero seconds to linger, closing a socket resets the connection instead of shutting it down.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Fault:
    """One fault for requests that ``match`` (a regular expression on ``METHOD /path?query``), ``times`` times.

    ``times``: None means always. ``status`` and ``reset``: the request does not reach the server. ``status_after`` and
    ``reset_after``: it does, but its response is lost. ``delay``: seconds to wait first. ``body_cut``: only so many
    bytes of the response body arrive, then the connection is reset.
    """

    match: str
    times: int | None = 1
    status: int | None = None
    status_after: int | None = None
    reset: bool = False
    reset_after: bool = False
    delay: float | None = None
    body_cut: int | None = None
    reason: str = "backendError"
    message: str = "injected"

    def error_body(self, status: int) -> bytes:
        """Return the error in Google's format."""
        first = {"message": self.message, "domain": "global", "reason": self.reason}
        return json.dumps({"error": {"code": status, "message": self.message, "errors": [first]}}).encode()


@dataclass(frozen=True)
class Response:
    """What is sent to the client; ``cut``: only so many bytes of the body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cut: int | None = None


class FaultProxy:
    """A loopback address that forwards to another one; use it as a context manager."""

    def __init__(self, upstream_port: int = 0) -> None:
        self.upstream_port = upstream_port
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._requests: list[str] = []
        self._server = _ProxyServer(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        # The server polls for a stop. The default interval of half a second would delay each stop.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="fault-proxy", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop accepting connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add_fault(self, fault: Fault) -> None:
        """Add a fault; if several match a request, the oldest triggers."""
        re.compile(fault.match)
        with self._lock:
            self._faults.append(fault)

    def clear_faults(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    @property
    def requests(self) -> list[str]:
        """All requests since the log was last cleared, as ``METHOD /path?query STATUS``.

        A fault appends what it did: ``… 503 injected``, ``… reset injected``, ``… 200 lost``, ``… 200 cut``.
        """
        with self._lock:
            return list(self._requests)

    def forget_requests(self) -> None:
        """Clear the log."""
        with self._lock:
            self._requests.clear()

    def record(self, line: str) -> None:
        """Add a request to the log."""
        with self._lock:
            self._requests.append(line)

    def trigger(self, line: str) -> Fault | None:
        """Return the fault for this request, if any, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.times != 0 and re.search(fault.match, line):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


class _ProxyServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _ProxyConnection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: tests include clients that hang up."""


class _ProxyConnection(BaseHTTPRequestHandler):
    server: _ProxyServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # sends headers and body together

    def handle_any(self) -> None:
        """Forward a request, or apply a fault."""
        proxy = self.server.proxy
        line = f"{self.command} {self.path}"
        body = self._read_body()
        fault = proxy.trigger(line)
        if fault is not None and fault.delay is not None:
            time.sleep(fault.delay)
        if fault is not None and fault.status is not None:
            proxy.record(f"{line} {fault.status} injected")
            return self._send_error(fault, fault.status)
        if fault is not None and fault.reset:
            proxy.record(f"{line} reset injected")
            return self._reset()
        try:
            response = self._forward(body, None if fault is None else fault.body_cut)
        except (OSError, http.client.HTTPException):
            # The server is down or died meanwhile: its clients would see the same.
            proxy.record(f"{line} reset")
            return self._reset()
        if fault is not None and (fault.status_after is not None or fault.reset_after):
            proxy.record(f"{line} {response.status} lost")
            return self._reset() if fault.status_after is None else self._send_error(fault, fault.status_after)
        proxy.record(f"{line} {response.status}" + ("" if response.cut is None else " cut"))
        return self._send(response)

    # The method names that http.server calls
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name http.server gives
        """Log nothing: `FaultProxy.requests` is the log."""

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while length := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(length))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(chunks)

    def _forward(self, body: bytes, cut: int | None) -> Response:
        """Forward the request. The Host header stays, so that the server uses the proxy's address in its responses."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.server.proxy.upstream_port, timeout=UPSTREAM_TIMEOUT_SECONDS
        )
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in _of_message(self.headers):
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            connection.send(body)
            received = connection.getresponse()
            headers = _of_message(received.headers)
            if self.command == "HEAD" and "Content-Length" in received.headers:
                headers.append(("Content-Length", received.headers["Content-Length"]))
            return Response(received.status, headers, received.read(), cut)
        finally:
            connection.close()

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if self.command != "HEAD" and response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body[: response.cut])
        self.wfile.flush()
        if response.cut is not None:
            self._reset()

    def _send_error(self, fault: Fault, status: int) -> None:
        self._send(Response(status, [("Content-Type", "application/json")], fault.error_body(status)))

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.connection.close()  # takes effect when the handler closes its files, immediately after this


def _of_message(headers: Message) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in CONNECTION_HEADERS]
