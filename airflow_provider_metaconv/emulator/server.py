"""The HTTP server: uvicorn in a thread of its own, the ASGI application, and faults at the level of the connection."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
import threading
from collections.abc import AsyncIterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .admin import Admin
from .errors import JSON_TYPE, GraphError, error_body
from .faults import Fault
from .models import Bound, GroundTruth, World, ground_truth
from .requests import NEWEST_VERSION, Request
from .serialization import to_json
from .service import Answer, GraphService
from .settings import EmulatorSettings
from .tokens import SYSTEM_USER_TOKEN, USER_TOKEN

DATE_HEADER_SECONDS = 1.0
START_TIMEOUT_SECONDS = 30.0
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]
BEARER = "bearer "
TRACE_HEADERS = {"facebook-api-version": f"v{NEWEST_VERSION}.0", "x-fb-trace-id": "Emu", "x-fb-rev": "1"}
CONNECTION = "emulator.connection"
GZIP_FROM_BYTES = 1_000


class EmulatorServer:
    """An emulated Graph API on a loopback port, used as a context manager.

    ``with EmulatorServer(world) as server: requests.get(server.url + "/v26.0/me", …)``
    """

    user_token = USER_TOKEN
    system_user_token = SYSTEM_USER_TOKEN

    def __init__(
        self,
        world: World,
        settings: EmulatorSettings | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.world = world
        self.settings = settings or EmulatorSettings()
        self.service = GraphService(world, self.settings)
        self.app_secret = self.settings.app_secret
        self._address = (host, port)
        self._server: _StoppableServer | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def start(self) -> EmulatorServer:
        """Start accepting connections. Raises OSError if the port is in use."""
        listener = _listen(self._address)
        host, port = listener.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        config = uvicorn.Config(
            create_application(self.service),
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
        )
        self._server = _StoppableServer(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name=f"emulator-{port}", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(START_TIMEOUT_SECONDS):
            raise RuntimeError(f"the emulator did not start within {START_TIMEOUT_SECONDS:.0f} seconds")
        return self

    def stop(self) -> None:
        """Close all connections and release the port."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> EmulatorServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def add_fault(self, fault: Fault) -> None:
        """Add a fault; its seconds begin now."""
        with self.world.lock:
            self.service.faults.add(fault)

    def clear_faults(self) -> None:
        """Remove all faults and the blocks they caused."""
        with self.world.lock:
            self.service.faults.clear()
            self.service.limiter.clear_blocks()

    def ground_truth(
        self,
        page_id: str = "100",
        platform: str = "MESSENGER",
        since: Bound = None,
        until: Bound = None,
        folder: str = "inbox",
    ) -> GroundTruth:
        """Return what reading one Page and platform completely finds now. Raises ValueError for an unknown one."""
        return ground_truth(self.world, page_id, platform, since, until, folder)

    def statistics(self) -> dict[str, Any]:
        """Return the statistics: the same dict as ``/_emulator/statistics``."""
        return self.service.report()

    @property
    def app_token(self) -> str:
        """The app's own token: its ID and its secret."""
        return self.service.tokens.app_token

    def describe_token(self, token: str, **description: Any) -> None:
        """Change a token's permissions and expiry times: the same properties as ``/_emulator/tokens``."""
        with self.world.lock:
            self.service.tokens.describe(token, description)

    def page_token(self, page_id: str = "100") -> str:
        """Return the current token of a Page."""
        return self.service.tokens.page_tokens[page_id]


class _StoppableServer(uvicorn.Server):
    """A uvicorn server that another thread can stop at once, because it waits for an event and does not poll."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None

    async def main_loop(self) -> None:
        """Serve until stopped, updating the Date header every second."""
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        await self.on_tick(0)
        self.ready.set()
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), DATE_HEADER_SECONDS)
            await self.on_tick(0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Abort all connections at once; pending requests get no response."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            transport: Any = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()
        await self.lifespan.shutdown()

    def stop(self) -> None:
        """Stop serving. Thread-safe."""
        if self._loop is not None and self._stopped is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)


def _listen(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


def create_application(service: GraphService) -> ASGIApp:
    """Return the ASGI application of one emulated API."""
    routes = [
        Mount("/_emulator", routes=Admin(service).routes()),
        Route("/{path:path}", partial(_graph, service), methods=METHODS),
    ]
    application = Starlette(routes=routes, lifespan=lambda _: _live_traffic(service))

    async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn's send is a method of its connection, which faults that reset the connection need.
        scope[CONNECTION] = getattr(send, "__self__", None)
        await application(scope, receive, send)

    return with_connection


async def _graph(service: GraphService, http: HttpRequest) -> Response:
    answer = service.answer(_request(http)) if http.method == "GET" else _unsupported_method(http.method)
    if answer.delay_seconds:
        await asyncio.sleep(answer.delay_seconds)
    accepts_gzip = "gzip" in http.headers.get("accept-encoding", "")
    for name, value in TRACE_HEADERS.items():  # errors for unknown paths have none yet
        answer.headers.setdefault(name, value)
    return to_response(answer, may_gzip=accepts_gzip and service.settings.gzip)


def _request(http: HttpRequest) -> Request:
    parameters = dict(http.query_params)
    token = parameters.pop("access_token", None)
    authorization = http.headers.get("authorization", "")
    if authorization.lower().startswith(BEARER):
        token = authorization[len(BEARER) :].strip()
    target = f"{http.url.path}?{http.url.query}" if http.url.query else http.url.path
    return Request(http.url.path, target, parameters, token, f"{http.url.scheme}://{http.url.netloc}")


def _unsupported_method(method: str) -> Answer:
    message = f"Unsupported {method.lower()} request. The emulator is read-only."
    error = GraphError(400, error_body(100, message, "GraphMethodException"))
    return Answer(error.status, to_json(error.body))


@contextlib.asynccontextmanager
async def _live_traffic(service: GraphService) -> AsyncIterator[None]:
    """Let messages arrive for as long as the application runs, if the settings say so."""
    rate = service.settings.arrivals_per_minute
    task = asyncio.create_task(_arrive_forever(service, 60 / rate)) if rate > 0 else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


async def _arrive_forever(service: GraphService, seconds: float) -> None:
    seed = 0
    while True:
        await asyncio.sleep(seconds)
        seed += 1
        service.world.arrive(1, seed=seed, created_time=service.now())


def to_response(answer: Answer, *, may_gzip: bool) -> Response:
    """Return the HTTP response for an answer, compressed if the client accepts gzip, or broken as its fault says."""
    body = answer.text.encode("ascii")
    if answer.transport_fault is not None:
        return _faulty(answer.transport_fault, body, answer.headers)
    headers = dict(answer.headers)
    if may_gzip and len(body) > GZIP_FROM_BYTES:
        body = gzip.compress(body, 1, mtime=0)
        headers["content-encoding"] = "gzip"
        headers["vary"] = "Accept-Encoding"
    return Response(body, answer.status, headers, answer.content_type)


def _faulty(fault: Fault, body: bytes, headers: Mapping[str, str]) -> Response:
    match fault.outcome:
        case "redirect":
            return Response(b"", 302, {**headers, "location": fault.url}, JSON_TYPE)
        case "truncated_gzip":
            packed = gzip.compress(body, 1, mtime=0)
            shortened = packed[: len(packed) // 2]
            return Response(shortened, 200, {**headers, "content-encoding": "gzip"}, JSON_TYPE)
        case "truncated_json":
            return Response(body[: len(body) // 2], 200, dict(headers), JSON_TYPE)
        case "reset_before":
            return Reset(b"", 0, headers)
        case _:
            return Reset(body[: len(body) // 2], len(body), headers)


class Reset(Response):
    """A response whose connection is reset before its first byte or in the middle of its body."""

    def __init__(self, part: bytes, announced: int, headers: Mapping[str, str]) -> None:
        super().__init__(b"", 200, {**headers, "content-length": str(announced)}, JSON_TYPE)
        self._part = part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the first part of the body, if any, and reset the connection."""
        if self._part:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._part, "more_body": True})
        reset_connection(scope)


def reset_connection(scope: Scope) -> None:
    """Reset the connection of a request, so that the client sees an error instead of an orderly close."""
    transport: Any = getattr(scope.get(CONNECTION), "transport", None)
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # A linger time of zero turns the close into a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
