"""A server on a real socket whose responses are written by the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.graph.session import graph_session

Reply = tuple[int, Mapping[str, str], bytes]
Respond = Callable[[str, dict[str, str]], Reply]


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A response with this body: bytes unchanged, anything else as JSON."""
    return status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode()


def graph_error(code: int, message: str = "refused", status: int = 400, **more: Any) -> Reply:
    """A response with Meta's error envelope."""
    return reply({"error": {"code": code, "message": message, **more}}, status)


class VirtualTime:
    """Time that passes only during a sleep."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class ScriptedServer:
    """Answers each call with ``respond(path below the version, query)``, and records it in ``requests``."""

    def __init__(self, respond: Respond) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.paths: list[str] = []
        self.authorizations: list[str | None] = []
        self.time = VirtualTime()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                path = parts.path.split("/", 2)[2]
                query = dict(parse_qsl(parts.query))
                scripted.requests.append((path, query))
                scripted.paths.append(path)
                scripted.authorizations.append(self.headers["Authorization"])
                status, headers, body = respond(path, query)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Logs nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def client(self, token: str = "token", **arguments: Any) -> GraphClient:
        """A client of this server on virtual time."""
        return GraphClient(
            graph_session(),
            Credentials(token),
            base_url=self.url,
            pacer=Pacer(1e6, clock=self.time, sleep=self.time.sleep),
            clock=self.time,
            sleep=self.time.sleep,
            **arguments,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def in_turn(*replies: Reply) -> Respond:
    """Each reply once, then the last one forever."""
    left = list(replies)
    return lambda _path, _query: left.pop(0) if len(left) > 1 else left[0]
