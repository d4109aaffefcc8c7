"""The HTTP session of the Graph client: every call has bounds in bytes and in time, and ends at once with its task.

``requests`` knows a timeout for each single read alone, and takes a body of any size: a server that sends a byte a
minute, an endless header or a gzip bomb would hold the worker or fill its memory. Here everything that comes from the
socket of a call is counted, interim responses and chunk sizes included, and a body is decoded up to the bound alone.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import socket
import time
import zlib
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from airflow_provider_metaconv.stop import Stop, StoppedError

MEBIBYTE = 1024 * 1024
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one call may take: bytes of its response, on the wire and decoded, and seconds from first to last.

    Meta cuts a slow Instagram inbox itself at about 30 seconds, and the largest answers have a few MiB.
    """

    response_bytes: int = 64 * MEBIBYTE
    call_seconds: float = 90.0


class BoundError(requests.RequestException):
    """A response exceeds the bounds of its call; asked for less, the server may stay within them."""


class ResponseTooLargeError(BoundError):
    """More bytes came than a response may have: ``received_bytes`` and more."""

    def __init__(self, received_bytes: int, **details: Any) -> None:
        super().__init__(**details)
        self.received_bytes = received_bytes


class CallTooLongError(BoundError):
    """The response was not complete in the time that a call may take."""


def graph_session(bounds: Bounds = Bounds(), stop: Stop | None = None) -> requests.Session:
    """A session whose calls keep to ``bounds`` and end when ``stop`` is requested.

    Its calls raise ``BoundError``, ``StoppedError`` and what those of ``requests`` raise; once they return, the whole
    body is there.
    """
    session = requests.Session()
    # The one encoding that Meta and every other server know, and that can be decoded piece by piece up to a bound.
    session.headers["Accept-Encoding"] = "gzip"
    adapter = _BoundedAdapter(bounds, stop or Stop())
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session


class _Over(Exception):  # noqa: N818 - it never leaves this module
    """Not an ``OSError``, which urllib3 would take for a broken connection."""

    def __init__(self, error: Callable[..., BoundError]) -> None:
        self.error = error


class _Call:
    """What one call has used of its bounds."""

    def __init__(self, bounds: Bounds, stop: Stop) -> None:
        self.stop = stop
        self._most_bytes = self._bytes_left = bounds.response_bytes
        self._deadline = time.monotonic() + bounds.call_seconds
        self.sockets = contextlib.ExitStack()

    def seconds_left(self) -> float:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise _Over(CallTooLongError)
        return seconds

    def received(self, number: int) -> None:
        self._bytes_left -= number
        if self._bytes_left < 0:
            raise _Over(functools.partial(ResponseTooLargeError, self._most_bytes))


_current: ContextVar[_Call] = ContextVar("call")


class _BoundedReader(io.RawIOBase):
    """What comes from a socket, as long as its call may go on."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, call: _Call) -> None:
        self._raw, self._socket, self._call = raw, sock, call
        self._timeout = sock.gettimeout() or float("inf")

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()

    def readinto(self, buffer: Any) -> int | None:
        left = self._call.seconds_left()
        if left < self._timeout:
            self._socket.settimeout(left)
        try:
            number = self._raw.readinto(buffer)
        except TimeoutError:
            self._call.seconds_left()
            raise
        self._call.stop.raise_if_requested()
        self._call.received(number or 0)
        return number


class _BoundedResponse(http.client.HTTPResponse):
    """Reads its status, headers and body within the bounds of the call that waits for it."""

    def __init__(self, sock: socket.socket, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        call = _current.get()
        call.sockets.enter_context(call.stop.cutting(functools.partial(_shut_down, sock)))
        self.fp = io.BufferedReader(_BoundedReader(self.fp.detach(), sock, call))


class _WholeResponse(requests.Response):
    """A response whose body was read already."""

    def __init__(self, response: requests.Response, body: bytes) -> None:
        super().__init__()
        vars(self).update(vars(response))
        self._body = body

    @property
    def content(self) -> bytes:
        return self._body


class _BoundedAdapter(HTTPAdapter):
    def __init__(self, bounds: Bounds, stop: Stop) -> None:
        self._bounds, self._stop = bounds, stop
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        _bind(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        is_known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **more)
        if not is_known:
            _bind(manager)
        return manager

    def send(self, request: requests.PreparedRequest, *arguments: Any, **more: Any) -> requests.Response:
        call = _Call(self._bounds, self._stop)
        former = _current.set(call)
        try:
            with call.sockets:
                return self._complete(request, **{**more, "stream": True})
        except _Over as over:
            failure: Exception = over.error(request=request)
        except requests.RequestException:
            # What a cut connection looks like from here, too.
            if not self._stop.requested:
                raise
            failure = StoppedError()
        finally:
            _current.reset(former)
        # Raised out here, so that no traceback carries the library's error, whose text holds the URL.
        raise failure

    def _complete(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        self._stop.raise_if_requested()
        response = super().send(request, **more)
        try:
            body = _body(response.raw, self._bounds.response_bytes)
        except requests.RequestException:
            raise  # also one of urllib3's, for some of them
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.exceptions.ReadTimeout(error, request=request) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.exceptions.ChunkedEncodingError(error, request=request) from error
        except zlib.error as error:
            raise requests.exceptions.ContentDecodingError(error, request=request) from error
        finally:
            # What was read to its end has given its connection back already.
            response.raw.close()
        return _WholeResponse(response, body)


def _bind(manager: Any) -> None:
    """Lets a manager's connections make bounded responses."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _bounded_pool(pool) for scheme, pool in pools.items()}


def _bounded_pool(pool: Any) -> type[Any]:
    connection = type("BoundedConnection", (pool.ConnectionCls,), {"response_class": _BoundedResponse})
    return type("BoundedPool", (pool,), {"ConnectionCls": connection})


def _body(raw: Any, most: int) -> bytes:
    encoding = raw.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        # Here the bytes on the wire are the body, and they are counted already.
        return b"".join(raw.stream(_PIECE, decode_content=False))
    if encoding not in ("gzip", "x-gzip"):
        raise requests.exceptions.ContentDecodingError("an encoding that was not asked for")
    inflater, body = zlib.decompressobj(16 + zlib.MAX_WBITS), bytearray()
    for piece in raw.stream(_PIECE, decode_content=False):
        body += inflater.decompress(piece, most + 1 - len(body))
        if len(body) > most:
            raise _Over(functools.partial(ResponseTooLargeError, most))
    if not inflater.eof or inflater.unused_data:
        raise requests.exceptions.ContentDecodingError("the gzip body does not end where it should")
    return bytes(body)


def _shut_down(sock: socket.socket) -> None:
    # Past the TLS layer, whose own shutdown takes from the reading thread what it reads with.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
