"""No server can hold a call longer, or use more memory, than the bounds allow; over real sockets."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib

import pytest
import requests

from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.errors import Action, GraphError, TooMuchDataError, TransientError
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.graph.session import Bounds, graph_session
from tests.integration.graph.raw_server import RawServer, Serve, complete, endless, hang

MEBIBYTE = 1024 * 1024
BOUNDS = Bounds(response_bytes=2 * MEBIBYTE, call_seconds=0.3)
PATIENT = Bounds(BOUNDS.response_bytes, call_seconds=20)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

TOO_LONG = {
    "no response": hang,
    "a status line that comes byte by byte": endless(b"HTTP/1.1 2", b"0", 0.05),
    "a header that comes byte by byte": endless(OK + b"x-slow: ", b"a", 0.05),
    "one interim response after the other": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
    "interim responses with slow headers": endless(b"HTTP/1.1 100 Continue\r\n", b"x-a: b\r\n", 0.05),
    "a body that comes byte by byte": endless(OK + b"Content-Length: 100000\r\n\r\n", b" ", 0.05),
    "a body without an announced length": endless(OK + b"Connection: close\r\n\r\n", b" ", 0.05),
    "chunks without an end": endless(CHUNKED, b"1\r\n \r\n", 0.05),
    "a chunk size that comes byte by byte": endless(CHUNKED, b"0", 0.05),
    "trailers without an end": endless(CHUNKED + b"2\r\n{}\r\n0\r\n", b"x-trailer: 1\r\n", 0.05),
}
TOO_LARGE = {
    "interim responses at full speed": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a body at full speed": endless(OK + b"Connection: close\r\n\r\n", b" " * 65536),
    "an announced body": endless(OK + b"Content-Length: 400000000\r\n\r\n", b" " * 65536),
    "chunks at full speed": endless(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "one chunk that is announced as huge": endless(CHUNKED + b"7fffffff\r\n", b" " * 65536),
    "trailers at full speed": endless(CHUNKED + b"2\r\n{}\r\n0\r\n", b"x-trailer: 1\r\n" * 4000),
    "a gzip bomb": complete(gzip.compress(bytes(400 * MEBIBYTE), 6), "Content-Encoding: gzip"),
    "a gzip bomb in a chunk": endless(
        OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n%b\r\n" % (len(zeros := gzip.compress(bytes(50 * MEBIBYTE), 6)), zeros),
    ),
}


def client_of(server: RawServer, bounds: Bounds = BOUNDS) -> GraphClient:
    return GraphClient(
        graph_session(bounds), Credentials("token"), base_url=server.url, pacer=Pacer(1e6), sleep=lambda _: None
    )


def refused(serve: Serve, bounds: Bounds = PATIENT) -> GraphError:
    """The error of one call."""
    with RawServer(serve) as server, pytest.raises(GraphError) as caught:
        client_of(server, bounds).get("100", retried=())
    return caught.value


@pytest.mark.parametrize("kind", TOO_LONG)
def test_a_call_that_exceeds_its_deadline_asks_for_less(kind: str) -> None:
    started = time.monotonic()
    error = refused(TOO_LONG[kind], BOUNDS)
    assert BOUNDS.call_seconds <= time.monotonic() - started < BOUNDS.call_seconds + 2
    assert (TooMuchDataError, Action.ASK_LESS) == (type(error), error.action)
    assert "call_timeout" in str(error)


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_a_response_that_is_too_large_asks_for_less(kind: str) -> None:
    tracemalloc.start()
    error = refused(TOO_LARGE[kind])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (TooMuchDataError, Action.ASK_LESS) == (type(error), error.action)
    assert "max_response_mib" in str(error)
    assert peak < 4 * BOUNDS.response_bytes


def test_nested_gzip_is_rejected_without_decoding() -> None:
    bomb = gzip.compress(gzip.compress(bytes(400 * MEBIBYTE), 6), 6)
    error = refused(complete(bomb, "Content-Encoding: gzip, gzip"))
    assert (TransientError, Action.RETRY) == (type(error), error.action)
    assert "was truncated or cannot be read" in str(error)


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b'{"id": "100"}')[:-4], gzip.compress(b'{"id": "100"}') + b"more", b"no gzip", zlib.compress(b"{}")],
    ids=["cut", "more", "none", "deflate"],
)
def test_a_broken_gzip_body_is_retried(body: bytes) -> None:
    assert Action.RETRY is refused(complete(body, "Content-Encoding: gzip")).action


@pytest.mark.parametrize("size", [1, 100_000, BOUNDS.response_bytes - 1000])
@pytest.mark.parametrize("form", ["plain", "gzip", "chunked"])
def test_a_response_within_the_bounds_is_read_completely(form: str, size: int) -> None:
    text = "x" * size
    body = b'{"id": "%b"}' % text.encode()
    serve = {
        "plain": complete(body),
        "gzip": complete(gzip.compress(body, 1), "Content-Encoding: gzip"),
        "chunked": lambda connection, _: connection.sendall(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)),
    }[form]
    with RawServer(serve) as server:
        assert client_of(server).get("100") == {"id": text}


def test_a_connection_is_reused_unless_a_bound_was_exceeded() -> None:
    connections = []

    def serve(connection: object, over: object) -> None:
        connections.append(connection)
        (hang if len(connections) == 3 else complete(b"{}"))(connection, over)  # type: ignore[arg-type]

    with RawServer(serve) as server:
        client = client_of(server)
        for _ in range(5):
            client.get("100")
    first, second = connections[0], connections[-1]
    assert connections == [first] * 3 + [second] * 3
    assert first is not second


def test_the_size_bound_applies_to_each_call_separately() -> None:
    with RawServer(complete(b'{"id": "%b"}' % (b"x" * 1_500_000))) as server:
        client = client_of(server)
        assert all(client.get("100") for _ in range(4))


def test_only_an_encoding_that_can_be_bounded_is_accepted() -> None:
    assert graph_session().headers["Accept-Encoding"] == "gzip"
    assert isinstance(graph_session(), requests.Session)
