"""Answers on the wire: gzip, and the faults that only a connection can show."""

from __future__ import annotations

import gzip
import socket
import struct
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .faults import Fault
from .odd_answers import JSON_TYPE
from .service import Answer

CONNECTION = "emulator.connection"
GZIP_FROM_BYTES = 1_000


def to_response(answer: Answer, *, may_gzip: bool) -> Response:
    """Return the HTTP response of an answer, in one piece where nothing is wrong."""
    body = answer.text.encode("ascii")
    if answer.wire is not None:
        return _faulty(answer.wire, body, answer.headers)
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
    """A response whose connection is reset, before it begins or in the middle of its body."""

    def __init__(self, part: bytes, announced: int, headers: Mapping[str, str]) -> None:
        super().__init__(b"", 200, {**headers, "content-length": str(announced)}, JSON_TYPE)
        self._part = part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the part there is to send, then reset the connection."""
        if self._part:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._part, "more_body": True})
        reset_connection(scope)


def reset_connection(scope: Scope) -> None:
    """Reset the connection of a request, so that the client sees no orderly end."""
    transport: Any = getattr(scope.get(CONNECTION), "transport", None)
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # Lingering for no time turns the close into a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
