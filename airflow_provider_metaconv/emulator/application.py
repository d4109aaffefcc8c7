"""The ASGI application: control routes under ``/_emulator/``, everything else is a Graph call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .calls import NEWEST_VERSION, Request
from .control import Control
from .errors import GraphError, error_body
from .jsontext import to_json
from .service import Answer, GraphService
from .wire import CONNECTION, to_response

METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]
BEARER = "bearer "
TRACE_HEADERS = {"facebook-api-version": f"v{NEWEST_VERSION}.0", "x-fb-trace-id": "Emu", "x-fb-rev": "1"}


def create_application(service: GraphService) -> ASGIApp:
    """Return the ASGI application of one emulated API."""
    routes = [
        Mount("/_emulator", routes=Control(service).routes()),
        Route("/{path:path}", partial(_graph, service), methods=METHODS),
    ]
    application = Starlette(routes=routes, lifespan=lambda _: _arrivals(service))

    async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
        # The server's send belongs to its connection; faults that reset it need to get there.
        scope[CONNECTION] = getattr(send, "__self__", None)
        await application(scope, receive, send)

    return with_connection


async def _graph(service: GraphService, http: HttpRequest) -> Response:
    answer = service.answer(_request(http)) if http.method == "GET" else _unsupported_method(http.method)
    if answer.delay_seconds:
        await asyncio.sleep(answer.delay_seconds)
    accepts_gzip = "gzip" in http.headers.get("accept-encoding", "")
    for name, value in TRACE_HEADERS.items():  # a path that leads nowhere gets them too
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
    message = f"Unsupported {method.lower()} request. The emulator only reads."
    error = GraphError(400, error_body(100, message, "GraphMethodException"))
    return Answer(error.status, to_json(error.body))


@contextlib.asynccontextmanager
async def _arrivals(service: GraphService) -> AsyncIterator[None]:
    """Let messages arrive all the time while the application runs, if the settings want it."""
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
        service.world.arrive(1, seed=seed, created_time=max(service.now(), service.world.now))
