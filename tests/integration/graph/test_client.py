"""The client over real HTTP: it waits where waiting helps, fails fast elsewhere, and shows no secret."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, Fault, uniform_world
from airflow_provider_metaconv.graph.auth import PageIdentity, list_pages, page_identity
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.errors import (
    Action,
    BlockedError,
    GraphError,
    InvalidRequestError,
    ItemUnavailableError,
    PermissionDeniedError,
    RateLimitError,
    TokenError,
    TransientError,
    UnexpectedResponseError,
)
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.graph.request import REPEATED
from airflow_provider_metaconv.graph.session import graph_session
from tests.integration.graph.scripted_server import Reply, ScriptedServer, graph_error, in_turn, reply

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    world = uniform_world(threads=3, messages_per_thread=2, platform="MESSENGER", page_id="100", now=NOW)
    with EmulatorServer(world, EmulatorSettings()) as server:
        yield server


@pytest.fixture
def server(running: EmulatorServer) -> Iterator[EmulatorServer]:
    yield running
    running.clear_faults()


class Sleeps(list[float]):
    """Records waits instead of sleeping; the clock advances by as much."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)

    def clock(self) -> float:
        return 1000.0 + sum(self)


def client_of(server: EmulatorServer, token: str | None = None, **arguments: object) -> GraphClient:
    sleeps = Sleeps()
    pacer = Pacer(1e6, clock=sleeps.clock, sleep=sleeps)
    client = GraphClient(
        graph_session(),
        Credentials(token or server.page_token("100"), arguments.pop("app_secret", None)),  # type: ignore[arg-type]
        base_url=str(arguments.pop("base_url", server.url)),
        own_ids={"100"},
        pacer=pacer,
        clock=sleeps.clock,
        sleep=sleeps,
        **arguments,  # type: ignore[arg-type]
    )
    client.sleeps = sleeps  # type: ignore[attr-defined]
    return client


CONVERSATIONS = ("100/conversations", {"platform": "MESSENGER"})


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("80006", RateLimitError),
        ("4", RateLimitError),
        ("17", RateLimitError),
        ("32", RateLimitError),
        ("190", TokenError),
        ("190/460", TokenError),
        ("190/463", TokenError),
        ("104", TokenError),
        ("200", PermissionDeniedError),
        ("230", PermissionDeniedError),
        ("10", PermissionDeniedError),
        ("100", InvalidRequestError),
        ("803", ItemUnavailableError),
        ("2500", TokenError),
        ("2500/path", InvalidRequestError),
        ("368", BlockedError),
        ("9000001", ItemUnavailableError),
    ],
)
def test_permanent_errors_are_raised_after_one_call(
    server: EmulatorServer, fault: str, expected: type[GraphError]
) -> None:
    server.add_fault(Fault(fault))
    client = client_of(server)
    with pytest.raises(expected):
        client.get(*CONVERSATIONS)
    assert client.calls == 1


@pytest.mark.parametrize(
    "fault",
    [
        "1",
        "1/99",
        "2",
        "-1",
        "-2",
        "html_500",
        "service_unavailable_200",
        "reset_before",
        "reset_middle",
        "truncated_gzip",
    ],
)
def test_transient_errors_are_retried(server: EmulatorServer, fault: str) -> None:
    server.add_fault(Fault(fault, times=2))
    client = client_of(server)
    assert len(client.get(*CONVERSATIONS)["data"]) == 3
    assert client.calls == 3


@pytest.mark.parametrize(
    ("fault", "retried", "expected"),
    [
        ("1", (Action.RETRY,), 1),
        ("1", (Action.ASK_LESS,), 5),
        ("-2", (Action.RETRY,), 1),
        ("2", (Action.RETRY,), 5),
        ("2", (Action.ASK_LESS,), 1),
        ("html_500", (), 1),
        ("9000001", (*REPEATED, Action.SKIP), 5),
    ],
)
def test_only_the_callers_actions_are_retried(
    server: EmulatorServer, fault: str, retried: tuple[Action, ...], expected: int
) -> None:
    server.add_fault(Fault(fault))
    client = client_of(server)
    with pytest.raises(GraphError):
        client.get(*CONVERSATIONS, retried=retried)
    assert client.calls == expected


def test_a_rate_limit_is_waited_for_whatever_is_retried(server: EmulatorServer) -> None:
    server.add_fault(Fault("613", times=1))
    client = client_of(server)
    assert len(client.get(*CONVERSATIONS, retried=())["data"]) == 3
    assert client.calls == 2


@pytest.mark.parametrize(
    "refusal",
    [
        graph_error(100, "(#100) The 'limit' parameter should not exceed 100"),
        graph_error(100, "(#100) The After Cursor specified exceeds the max limit"),
        graph_error(100, "(#100) Tried accessing nonexisting field (x)"),
    ],
)
def test_a_call_that_can_never_succeed_is_sent_once(refusal: Reply) -> None:
    with ScriptedServer(in_turn(refusal)) as scripted:
        with pytest.raises(GraphError):
            scripted.client().get("100/conversations")
        assert len(scripted.requests) == 1


def test_the_waits_between_attempts_grow() -> None:
    with ScriptedServer(in_turn(graph_error(2, "later", 500))) as scripted:
        before = scripted.time.now
        with pytest.raises(TransientError):
            scripted.client().get("100")
        assert len(scripted.requests) == 5
    assert 1 + 2 + 4 + 8 <= scripted.time.now - before <= 1 + 2 + 4 + 8 + 4 + 0.1


def test_an_html_page_with_a_4xx_status_is_retried() -> None:
    page = reply(b"<html>Sorry, something went wrong</html>", 400)
    with ScriptedServer(in_turn(page, page, reply({"id": "100"}))) as scripted:
        assert scripted.client().get("100") == {"id": "100"}


def name_of(data: dict[str, Any]) -> str:
    """What a caller requests; anything else is unexpected."""
    if "name" not in data:
        raise UnexpectedResponseError("no name")
    return str(data["name"])


def test_a_response_the_caller_cannot_parse_is_retried() -> None:
    with ScriptedServer(in_turn(reply({}), reply({"name": "Example"}))) as scripted:
        client = scripted.client()
        assert client.get("100", parse=name_of) == "Example"
    assert client.statistics.as_dict() | {"usage_percent": 0} == {
        "calls": 2,
        "retries": 1,
        "rate_limit_waits": 0,
        "rate_limit_wait_seconds": 0.0,
        "usage_percent": 0,
        "errors": {"UnexpectedResponseError": 1},
    }


def test_a_response_that_stays_unparsable_is_raised() -> None:
    with ScriptedServer(in_turn(reply({}))) as scripted, pytest.raises(UnexpectedResponseError):
        scripted.client().get("100", parse=name_of)
    assert len(scripted.requests) == 5


def test_a_slow_response_is_waited_for(server: EmulatorServer) -> None:
    server.add_fault(Fault("hang", delay_seconds=1.5, times=1))
    client = client_of(server)
    assert len(client.get(*CONVERSATIONS)["data"]) == 3
    assert client.calls == 1


@pytest.mark.parametrize("fault", ["190/463", "368"])
def test_nothing_is_sent_after_an_invalid_token_or_a_block(server: EmulatorServer, fault: str) -> None:
    server.add_fault(Fault(fault))
    client = client_of(server)
    raised = []
    for _ in range(3):
        with pytest.raises((TokenError, BlockedError)) as caught:
            client.get(*CONVERSATIONS)
        raised.append(caught.value)
    assert client.calls == 1
    # Threads never share an exception: each has its own traceback.
    assert len({id(error) for error in raised}) == 3
    assert len({str(error) for error in raised}) == 1


def test_usage_is_read_from_errors(server: EmulatorServer) -> None:
    server.add_fault(Fault("80006", times=1, regain_minutes=7))
    client = client_of(server)
    with pytest.raises(RateLimitError):
        client.get(*CONVERSATIONS)
    assert client.statistics.usage_percent >= 100


def test_a_token_in_the_wrong_field_is_not_shown(server: EmulatorServer) -> None:
    for host in ("EAABsecret", "https://user:EAABsecret@graph.example.com", "https://x.example.com/?access_token=abc"):
        with pytest.raises(InvalidRequestError) as caught:
            client_of(server, base_url=host)
        assert "EAAB" not in str(caught.value)
        assert "abc" not in str(caught.value)


def test_retries_of_transient_errors_are_bounded(server: EmulatorServer) -> None:
    server.add_fault(Fault("2"))
    client = client_of(server, attempts=4)
    with pytest.raises(TransientError):
        client.get(*CONVERSATIONS)
    assert client.calls == 4


def test_a_short_rate_limit_is_waited_out(server: EmulatorServer) -> None:
    server.add_fault(Fault("613", times=1))
    client = client_of(server)
    assert len(client.get(*CONVERSATIONS)["data"]) == 3
    assert (client.calls, sum(client.sleeps)) == (2, 5)  # type: ignore[attr-defined]
    assert (client.statistics.limit_waits, client.statistics.limit_wait_seconds) == (1, 5.0)


def test_a_short_rate_limit_does_not_slow_later_calls(server: EmulatorServer) -> None:
    server.add_fault(Fault("613", times=1))
    client = client_of(server)
    for _ in range(5):
        client.get(*CONVERSATIONS)
    assert pytest.approx(sum(client.sleeps), abs=0.1) == 5  # type: ignore[attr-defined]


def test_nothing_is_sent_after_a_long_rate_limit(server: EmulatorServer) -> None:
    server.add_fault(Fault("80006", times=1, regain_minutes=7))
    client = client_of(server)
    with pytest.raises(RateLimitError) as first:
        client.get(*CONVERSATIONS)
    client.sleeps(100)  # type: ignore[attr-defined]
    with pytest.raises(RateLimitError) as second:
        client.get(*CONVERSATIONS)
    assert first.value.retry_after == 7 * 60
    assert second.value.retry_after == pytest.approx(7 * 60 - 100, abs=1)
    assert (first.value.bucket, str(second.value)) == ("messenger", str(first.value))
    assert client.calls == 1


def test_a_long_rate_limit_that_is_nearly_over_is_waited_out(server: EmulatorServer) -> None:
    server.add_fault(Fault("80006", times=1, regain_minutes=7))
    client = client_of(server)
    with pytest.raises(RateLimitError):
        client.get(*CONVERSATIONS)
    client.sleeps(7 * 60 - 20)  # type: ignore[attr-defined]
    assert len(client.get(*CONVERSATIONS)["data"]) == 3
    assert client.calls == 2


def limited(_path: str, _query: dict[str, str]) -> Reply:
    return graph_error(613, "(#613) Calls to this api have exceeded the rate limit.", error_subcode=1996)


def test_an_hour_without_an_estimate_costs_at_most_twenty_calls() -> None:
    with ScriptedServer(
        lambda path, query: reply({"id": "100"}) if path == "100" else limited(path, query)
    ) as scripted:
        started, count, waits = scripted.time.now, 0, []
        while scripted.time.now - started < 3600:
            # Each attempt is a separate process: it requests the token, and continues the count of the last one.
            client = scripted.client()
            client.get("100")
            client.consecutive_limits = count
            with pytest.raises(RateLimitError) as caught:
                client.get("100/conversations")
            count = client.consecutive_limits
            waits.append(caught.value.retry_after)
            scripted.time.sleep(caught.value.retry_after)
        assert len(scripted.requests) <= 20
    assert waits == [40, 80, 160, 320, 640, 1280, 1800]


def test_a_limit_without_an_estimate_waits_5_10_and_20_seconds() -> None:
    with ScriptedServer(limited) as scripted:
        started = scripted.time.now
        client = scripted.client()
        with pytest.raises(RateLimitError):
            client.get("100/conversations")
        assert len(scripted.requests) == 4
    assert scripted.time.now - started == pytest.approx(35, abs=0.1)
    assert (client.consecutive_limits, client.statistics.limit_waits) == (4, 3)
    assert client.statistics.limit_wait_seconds == pytest.approx(35, abs=0.1)


def test_threads_that_hit_a_limit_together_wait_once() -> None:
    together, number = threading.Barrier(4), itertools.count()

    def respond(path: str, query: dict[str, str]) -> Reply:
        if next(number) >= 4:
            return reply({"id": "100"})
        together.wait(timeout=10)
        return limited(path, query)

    with ScriptedServer(respond) as scripted, ThreadPoolExecutor(4) as threads:
        client = scripted.client()
        found = list(threads.map(lambda _: client.get("100"), range(4)))
    assert found == [{"id": "100"}] * 4
    assert len(scripted.requests) == 8
    assert client.statistics.limit_wait_seconds <= 4 * 5


def test_a_success_resets_the_count_of_limits() -> None:
    with ScriptedServer(in_turn(limited("", {}), limited("", {}), reply({"id": "100"}))) as scripted:
        client = scripted.client()
        client.get("100")
        assert client.consecutive_limits == 0


def test_limits_of_other_objects_cause_no_wait() -> None:
    usage = {
        "999": [{"type": "ads_management", "call_count": 100, "estimated_time_to_regain_access": 1380}],
        "100": [{"type": "messenger", "call_count": 3, "estimated_time_to_regain_access": 0}],
    }
    headers = {"x-business-use-case-usage": json.dumps(usage)}
    refusal = {"error": {"code": 80006, "message": "(#80006) There have been too many messenger api calls"}}
    with ScriptedServer(in_turn(*[reply({"id": "1"}, headers=headers)] * 10, reply(refusal, 400, headers))) as scripted:
        client, started = scripted.client(own_ids={"100"}), scripted.time.now
        for _ in range(10):
            client.get("100")
        assert scripted.time.now - started < 1
        assert client.statistics.usage_percent == 3
        with pytest.raises(RateLimitError) as caught:
            client.get("100")
    assert caught.value.retry_after == 300


def test_use_page_switches_the_token_and_the_limits() -> None:
    usage = {"100": [{"type": "messenger", "call_count": 55}], "1784": [{"type": "instagram", "call_count": 56}]}
    headers = {"x-business-use-case-usage": json.dumps(usage)}
    with ScriptedServer(in_turn(graph_error(190, "dead"), reply({"id": "1"}, headers=headers))) as scripted:
        client = scripted.client()
        with pytest.raises(TokenError):
            client.get("100")
        client.use_page(PageIdentity("100", "Example", "page-token", "1784"))
        client.get("100")
    assert client.statistics.usage_percent == 56
    assert scripted.authorizations == ["Bearer token", "Bearer page-token"]


def test_usage_is_read_from_successful_responses(server: EmulatorServer) -> None:
    server.add_fault(Fault("usage", percent=91, times=1))
    client = client_of(server)
    client.get(*CONVERSATIONS)
    assert client.statistics.usage_percent == 91


def test_a_steady_run_never_hits_the_limit() -> None:
    skipped = Sleeps()
    world = uniform_world(threads=1, messages_per_thread=1, platform="MESSENGER", page_id="100", now=NOW)
    # 200 calls per minute are allowed; the client would send 20 per second, six times as many.
    settings = EmulatorSettings(messenger_calls=(200, 60), clock=skipped.clock)
    with EmulatorServer(world, settings) as limited:
        pacer = Pacer(20, clock=skipped.clock, sleep=skipped)
        credentials = Credentials(limited.page_token("100"))
        client = GraphClient(
            graph_session(),
            credentials,
            base_url=limited.url,
            own_ids={"100"},
            pacer=pacer,
            clock=skipped.clock,
            sleep=skipped,
        )
        for _ in range(700):
            client.get(*CONVERSATIONS)
        assert limited.statistics()["errors"] == {}
    # Nor is it too slow: it uses at least a third of what the limit allows.
    assert sum(skipped) < 3 * 700 / (200 / 60)


def test_a_missing_response_names_the_host_and_no_secret() -> None:
    world = uniform_world(threads=1, messages_per_thread=1, platform="MESSENGER", page_id="100", now=NOW)
    with EmulatorServer(world, EmulatorSettings()) as gone:
        client = client_of(gone, "s3cret-token", app_secret="s3cret-app", attempts=1)
    with pytest.raises(
        TransientError, match=r"Nothing listens at 127\.0\.0\.1:\d+\. If this persists: check .*host and port"
    ) as caught:
        client.get(*CONVERSATIONS)
    assert "appsecret_proof" not in str(caught.value)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


def test_a_redirect_is_never_followed(server: EmulatorServer) -> None:
    server.add_fault(Fault("redirect", url=f"{server.url}/elsewhere"))
    client = client_of(server)
    with pytest.raises(InvalidRequestError, match="redirect"):
        client.get(*CONVERSATIONS)
    assert client.calls == 1


@pytest.mark.parametrize("base_url", ["graph.example.com", "", "ftp://graph.example.com", "http://", "//x"])
def test_a_host_without_scheme_is_rejected_before_any_call(server: EmulatorServer, base_url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"https://graph\.facebook\.com"):
        client_of(server, base_url=base_url)


def test_a_user_token_yields_the_page_token_in_one_call(server: EmulatorServer) -> None:
    client = client_of(server, server.user_token)
    assert server.page_token("100") == page_identity(client.get, "100", with_instagram=False).token
    assert client.calls == 1


def test_a_page_token_identifies_its_page_and_instagram_account(server: EmulatorServer) -> None:
    identity = page_identity(client_of(server).get, "100", with_instagram=True)
    assert server.page_token("100") == identity.token
    assert identity.own_ids == {"100", identity.instagram_account_id}


def test_a_user_token_lists_its_pages_and_a_page_token_its_own(server: EmulatorServer) -> None:
    for token in (server.user_token, server.page_token("100")):
        assert [page.page_id for page in list_pages(client_of(server, token).get)] == ["100"]


def test_a_user_token_cannot_read_conversations(server: EmulatorServer) -> None:
    with pytest.raises(TokenError, match="Page token"):
        client_of(server, server.user_token).get(*CONVERSATIONS)


def test_an_app_that_requires_proofs_gets_valid_ones() -> None:
    world = uniform_world(threads=1, messages_per_thread=1, platform="MESSENGER", page_id="100", now=NOW)
    with EmulatorServer(world, EmulatorSettings(require_proof=True)) as strict:
        assert len(client_of(strict, app_secret=strict.app_secret).get(*CONVERSATIONS)["data"]) == 1
        for wrong in (None, "wrong"):
            with pytest.raises(InvalidRequestError, match="app_secret"):
                client_of(strict, app_secret=wrong).get(*CONVERSATIONS)


def test_debug_logs_contain_neither_proof_nor_token(server: EmulatorServer, caplog: pytest.LogCaptureFixture) -> None:
    credentials = Credentials(server.page_token("100"), server.app_secret)
    client = client_of(server, app_secret=server.app_secret)
    with caplog.at_level(logging.DEBUG):
        client.get(*CONVERSATIONS)
    assert "appsecret_proof=***" in caplog.text
    secrets = (credentials.token, *credentials.parameters.values())
    assert [secret for secret in secrets if secret in caplog.text] == []


@pytest.mark.parametrize(
    "path",
    ["..", "../me", "100/../me", "100/..", "100/./x", "..%2Fme", "100/%2e%2e/me", "100?a=b", "100#x", "a\\..\\b"],
)
def test_no_path_can_leave_the_api_version(path: str) -> None:
    with ScriptedServer(in_turn(reply({"id": "1"}))) as scripted:
        with pytest.raises(InvalidRequestError, match="Graph API path must not contain"):
            scripted.client().get(path)
        assert scripted.requests == []


def test_the_default_pace_is_two_calls_per_second(server: EmulatorServer) -> None:
    client = GraphClient(graph_session(), Credentials(server.page_token("100")), base_url=server.url)
    started = time.monotonic()
    for _ in range(3):
        client.get("100")
    assert time.monotonic() - started >= 1.0
