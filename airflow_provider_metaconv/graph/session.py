"""The HTTP session of the Graph client: every call is limited in bytes and time, and ends immediately with its task.

``requests`` has a timeout only for each single read, and accepts a body of any size. A server that sends one byte per
minute, an endless header or a gzip bomb would block the worker or fill its memory. Here, everything that a call
receives from its socket counts, including interim responses and chunk sizes. A body is decoded only up to the limit.
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
    """The limits of one call: the bytes of its response, on the wire and decoded, and the seconds it may take in total.

    Meta itself cuts off a slow Instagram inbox after about 30 seconds, and the largest responses have a few MiB.
    """

    response_bytes: int = 64 * MEBIBYTE
    call_seconds: float = 90.0


class BoundError(requests.RequestException):
    """A response exceeds the limits of its call. A request for less data may stay within them."""


class ResponseTooLargeError(BoundError):
    """The response has more bytes than allowed. ``received_bytes`` were received."""

    def __init__(self, received_bytes: int, **details: Any) -> None:
        super().__init__(**details)
        self.received_bytes = received_bytes


class CallTooLongError(BoundError):
    """The response was not complete within the time limit."""


def graph_session(bounds: Bounds = Bounds(), stop: Stop | None = None) -> requests.Session:
    """Return a session whose calls stay within ``bounds`` and end when ``stop`` is requested.

    Its calls raise ``BoundError``, ``StoppedError`` and the errors of ``requests``. When a call returns, its body has
    been read completely.
    """
    session = requests.Session()
    # The one encoding that Meta and every other server supports and that can be decoded incrementally up to a limit.
    session.headers["Accept-Encoding"] = "gzip"
    adapter = _BoundedAdapter(bounds, stop or Stop())
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session


class _LimitExceeded(Exception):  # noqa: N818 - it never leaves this module
    """Not an ``OSError``, because urllib3 would treat that as a broken connection."""

    def __init__(self, error: Callable[..., BoundError]) -> None:
        self.error = error


class _Call:
    """How much of its limits one call has used."""

    def __init__(self, bounds: Bounds, stop: Stop) -> None:
        self.stop = stop
        self._most_bytes = self._bytes_left = bounds.response_bytes
        self._deadline = time.monotonic() + bounds.call_seconds
        self.sockets = contextlib.ExitStack()

    def seconds_left(self) -> float:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise _LimitExceeded(CallTooLongError)
        return seconds

    def received(self, number: int) -> None:
        self._bytes_left -= number
        if self._bytes_left < 0:
            raise _LimitExceeded(functools.partial(ResponseTooLargeError, self._most_bytes))


_current: ContextVar[_Call] = ContextVar("call")


class _BoundedReader(io.RawIOBase):
    """Reads from a socket for as long as the call's limits allow."""

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
    """Reads its status, headers and body within the limits of its call."""

    def __init__(self, sock: socket.socket, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        call = _current.get()
        call.sockets.enter_context(call.stop.cutting(functools.partial(_shut_down, sock)))
        self.fp = io.BufferedReader(_BoundedReader(self.fp.detach(), sock, call))


class _WholeResponse(requests.Response):
    """A response whose body has already been read."""

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
        except _LimitExceeded as exceeded:
            failure: Exception = exceeded.error(request=request)
        except requests.RequestException:
            # A cancelled connection raises such an error, too.
            if not self._stop.requested:
                raise
            failure = StoppedError()
        finally:
            _current.reset(former)
        # Raised outside the handler, so that no traceback has the library's error, whose text includes the URL.
        raise failure

    def _complete(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        self._stop.raise_if_requested()
        response = super().send(request, **more)
        try:
            body = _body(response.raw, self._bounds.response_bytes)
        except requests.RequestException:
            raise  # some of these are urllib3 errors as well
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.exceptions.ReadTimeout(error, request=request) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.exceptions.ChunkedEncodingError(error, request=request) from error
        except zlib.error as error:
            raise requests.exceptions.ContentDecodingError(error, request=request) from error
        finally:
            # A fully read response has already returned its connection to the pool.
            response.raw.close()
        return _WholeResponse(response, body)


def _bind(manager: Any) -> None:
    """Make a manager's connections return bounded responses."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _bounded_pool(pool) for scheme, pool in pools.items()}


def _bounded_pool(pool: Any) -> type[Any]:
    connection = type("BoundedConnection", (pool.ConnectionCls,), {"response_class": _BoundedResponse})
    return type("BoundedPool", (pool,), {"ConnectionCls": connection})


def _body(raw: Any, most: int) -> bytes:
    encoding = raw.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        # The bytes on the wire are the body, and have already been counted.
        return b"".join(raw.stream(_PIECE, decode_content=False))
    if encoding not in ("gzip", "x-gzip"):
        raise requests.exceptions.ContentDecodingError("an encoding that was not requested")
    inflater, body = zlib.decompressobj(16 + zlib.MAX_WBITS), bytearray()
    for piece in raw.stream(_PIECE, decode_content=False):
        body += inflater.decompress(piece, most + 1 - len(body))
        if len(body) > most:
            raise _LimitExceeded(functools.partial(ResponseTooLargeError, most))
    if not inflater.eof or inflater.unused_data:
        raise requests.exceptions.ContentDecodingError("the gzip body is truncated or has trailing data")
    return bytes(body)


def _shut_down(sock: socket.socket) -> None:
    # Bypasses the TLS layer, whose own shutdown would remove the state that the reading thread uses.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
