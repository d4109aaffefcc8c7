"""No secret ever used appears in a log line, in an error or in anything made of one."""

from __future__ import annotations

import copy
import logging
import pickle
import socket
import threading
import traceback
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_metaconv.graph.auth import PageIdentity, list_pages
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.errors import CursorError, GraphError
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.graph.pagination import parse_page
from airflow_provider_metaconv.graph.redaction import remember, scrub
from airflow_provider_metaconv.graph.session import graph_session
from airflow_provider_metaconv.stop import Stop, StoppedError
from tests.integration.graph.raw_server import RawServer
from tests.integration.graph.scripted_server import ScriptedServer, graph_error, reply

TOKEN, APP_SECRET, PAGE_TOKEN = "USER-t0ken/+|=secret", "app-s3cret-of-this-test", "page-t0ken-of-this-test"
PROOF = Credentials(TOKEN, APP_SECRET).parameters["appsecret_proof"]
SECRETS = (TOKEN, APP_SECRET, PAGE_TOKEN, PROOF, Credentials(PAGE_TOKEN, APP_SECRET).parameters["appsecret_proof"])
WRITTEN = {
    form for secret in SECRETS for form in (secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1])
}


def shown_in(text: str) -> list[str]:
    return [form for form in WRITTEN if form in text]


def client_of(url: str, attempts: int = 1) -> GraphClient:
    return GraphClient(
        graph_session(),
        Credentials(TOKEN, APP_SECRET),
        base_url=url,
        pacer=Pacer(1e6),
        attempts=attempts,
        sleep=lambda _: None,
    )


def everything_of(error: BaseException) -> str:
    """Everything that any tool shows of an error, including its chain."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None:
        chain.append(following)
        following = following.__cause__ or following.__context__
    seen = [text for each in chain for text in (str(each), repr(each), repr(each.args), repr(vars(each)))]
    return "\n".join([*seen, *traceback.format_exception(error)])


MALFORMED_HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nthis is no header\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: 1\r\n : " + TOKEN.encode() + b"\r\nno header\r\n\r\n{}",
    b"HTTP/1.1 200 " + TOKEN.encode() + b"\r\nContent-Length: 2\r\nno header \r\n" + PROOF.encode() + b"\r\n\r\n{}",
)


@pytest.mark.parametrize("head", MALFORMED_HEADS, ids=range(len(MALFORMED_HEADS)))
def test_malformed_headers_show_no_secret_in_any_record(head: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with RawServer(lambda connection, _: connection.sendall(head)) as server, caplog.at_level(logging.DEBUG):
        client_of(server.url).get("debug_token", {"input_token": PAGE_TOKEN})
    assert "Failed to parse headers (url=" in caplog.text
    assert shown_in(caplog.text + "".join(map(repr, (vars(record) for record in caplog.records)))) == []


@pytest.mark.parametrize(
    "response",
    [
        b"",
        TOKEN.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n" + PROOF.encode(),
        b"HTTP/1.1 200 OK\r\nContent-Length: " + TOKEN.encode() + b"\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + TOKEN.encode() + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nno gzip!!",
        b"HTTP/1.1 302 Found\r\nLocation: http://[" + TOKEN.encode() + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\xc3\x28\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: //" + b"a." * 200 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: " + b"=;" * 500 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_broken_call_is_a_graph_error_without_secrets(response: bytes, caplog: pytest.LogCaptureFixture) -> None:
    def serve(connection: socket.socket, _: object) -> None:
        connection.sendall(response)
        connection.close()

    with RawServer(serve) as server, caplog.at_level(logging.DEBUG), pytest.raises(GraphError) as caught:
        client_of(server.url, attempts=2).get("100", {"input_token": PAGE_TOKEN})
    assert shown_in(everything_of(caught.value) + caplog.text) == []


def test_a_stopped_call_shows_no_secret() -> None:
    stop = Stop()

    def serve(connection: socket.socket, _: object) -> None:
        stop.request()
        connection.close()

    with RawServer(serve) as server:
        client = GraphClient(graph_session(stop=stop), Credentials(TOKEN, APP_SECRET), base_url=server.url)
        with pytest.raises(StoppedError) as caught:
            client.get("100", {"input_token": PAGE_TOKEN})
    assert shown_in(everything_of(caught.value)) == []


FIELDS = ("message", "error_user_title", "error_user_msg", "fbtrace_id")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("secret", [*SECRETS, quote(TOKEN, safe=""), "USER-t0ken%2f%2b%7c%3dsecret"])
def test_no_field_of_an_error_contains_a_secret(field: str, secret: str) -> None:
    with ScriptedServer(lambda *_: graph_error(100, **{"message": "no", field: f"x {secret}"})) as server:  # type: ignore[arg-type]
        with pytest.raises(GraphError) as caught:
            client_of(server.url).get("100")
        error = caught.value
    for each in (error, error.fresh(), copy.deepcopy(error), pickle.loads(pickle.dumps(error)), error.as_page_error()):
        assert shown_in(everything_of(each) + each.meta_text) == []
        assert secret not in everything_of(each)


def test_a_truncated_quote_shows_no_part_of_a_secret() -> None:
    server = ScriptedServer(lambda *_: graph_error(1, "x" * 290 + TOKEN, fbtrace_id="y" * 55 + TOKEN))
    with server, pytest.raises(GraphError) as caught:
        client_of(server.url).get("100")
    assert TOKEN[:6] not in everything_of(caught.value)


def test_a_replaced_token_stays_secret() -> None:
    with ScriptedServer(lambda *_: graph_error(100, f"old {TOKEN} new {PAGE_TOKEN}")) as server:
        client = client_of(server.url)
        client.use_page(PageIdentity("100", "Example Page", PAGE_TOKEN))
        with pytest.raises(GraphError, match=r"old \*\*\* new \*\*\*") as caught:
            client.get("100")
    assert shown_in(everything_of(caught.value)) == []


def test_an_inspected_token_is_secret() -> None:
    inspected = "only-a-parameter-1"
    server = ScriptedServer(lambda *_: graph_error(100, f"{inspected} is odd"))
    with server, pytest.raises(GraphError, match=r"\*\*\* is odd"):
        client_of(server.url).get("debug_token", {"input_token": inspected})


def test_all_page_tokens_are_secret_even_in_names() -> None:
    other = "t0ken-of-a-page-nobody-reads"
    nodes = [
        {"id": "100", "name": f"Example {TOKEN}", "access_token": PAGE_TOKEN, "tasks": [TOKEN]},
        {"id": "200", "name": "Another", "access_token": other},
    ]
    with ScriptedServer(
        lambda path, _: reply({"data": nodes}) if path == "me/accounts" else graph_error(1, other)
    ) as server:
        found = list_pages(client_of(server.url).get)
        with pytest.raises(GraphError) as caught:
            client_of(server.url).get("100")
    assert shown_in(repr(found)) == []
    assert other not in everything_of(caught.value)


def test_a_cursor_that_contains_a_secret_is_rejected() -> None:
    Credentials(TOKEN)
    with pytest.raises(CursorError):
        parse_page({"data": [], "paging": {"cursors": {"after": f"x{TOKEN}"}, "next": "https://graph.facebook.com/"}})


def test_everything_that_looks_like_a_secret_is_scrubbed() -> None:
    remember(TOKEN, APP_SECRET)
    text = f"{TOKEN} {APP_SECRET} Bearer xyz123 access_token=other&x=1 EAABwzLixnjYBA"
    assert scrub(text) == "*** *** Bearer *** access_token=***&x=1 ***"


def test_ordinary_text_and_short_words_are_left_alone() -> None:
    remember("token", "", None)
    assert scrub("nothing to hide of a token: 42") == "nothing to hide of a token: 42"


def test_a_secret_within_another_is_scrubbed_completely() -> None:
    remember("inner-s3cret", "1|inner-s3cret|outer")
    assert scrub("1|inner-s3cret|outer inner-s3cret") == "*** ***"


def test_threads_can_remember_and_scrub_concurrently() -> None:
    failed: list[str] = []

    def work(number: int) -> None:
        for n in range(100):
            secret = f"s3cret-{number}-of-thread-{n}."
            remember(secret)
            if secret in scrub(f"x {secret}"):
                failed.append(secret)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_every_logger_of_the_http_stack_is_filtered() -> None:
    client_of("http://127.0.0.1:9")
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in ("urllib3", "requests")]
    assert {"urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"} <= set(names)
    for name in names:
        record = logging.LogRecord(name, 10, "", 0, "GET %s", (f"/v26.0/1?appsecret_proof=abc&x={TOKEN}",), None)
        assert isinstance(logging.getLogger(name).filter(record), bool | logging.LogRecord)
        assert record.getMessage() == "GET /v26.0/1?appsecret_proof=***&x=***", name
