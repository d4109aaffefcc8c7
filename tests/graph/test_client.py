"""The client over real HTTP, against the emulator: patient where waiting helps, at once elsewhere, without secrets."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, Fault, uniform_world
from airflow_provider_metaconv.graph.auth import Credentials, list_pages, page_identity
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.errors import (
    BlockedError,
    GraphError,
    InvalidRequestError,
    ItemUnavailableError,
    PermissionDeniedError,
    RateLimitError,
    TokenError,
    TooMuchDataError,
    TransientError,
)
from airflow_provider_metaconv.graph.limits import Pacer

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
    """Waits that are written down instead of spent; time goes on by as much."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)

    def clock(self) -> float:
        return 1000.0 + sum(self)


def client_of(server: EmulatorServer, token: str | None = None, **arguments: object) -> GraphClient:
    sleeps = Sleeps()
    pacer = Pacer(1e6, clock=sleeps.clock, sleep=sleeps)
    client = GraphClient(
        requests.Session(),
        Credentials(token or server.page_token("100"), arguments.pop("app_secret", None)),  # type: ignore[arg-type]
        base_url=str(arguments.pop("base_url", server.url)),
        pacer=pacer,
        clock=sleeps.clock,
        sleep=sleeps,
        **arguments,  # type: ignore[arg-type]
    )
    client.sleeps = sleeps  # type: ignore[attr-defined]
    return client


CONVERSATIONS = ("100/conversations", {"platform": "MESSENGER"})


@pytest.mark.parametrize(
    ("expected", "fault"),
    [
        (RateLimitError, "80006"),
        (RateLimitError, "4"),
        (RateLimitError, "17"),
        (RateLimitError, "32"),
        (TokenError, "190"),
        (TokenError, "190/460"),
        (TokenError, "190/463"),
        (TokenError, "104"),
        (PermissionDeniedError, "200"),
        (PermissionDeniedError, "230"),
        (PermissionDeniedError, "10"),
        (InvalidRequestError, "100"),
        (InvalidRequestError, "803"),
        (TokenError, "2500"),
        (InvalidRequestError, "2500/path"),
        (BlockedError, "368"),
        (ItemUnavailableError, "9000001"),
        (TooMuchDataError, "1"),
    ],
)
def test_what_waiting_does_not_mend_is_raised_after_one_call(
    server: EmulatorServer, expected: type[GraphError], fault: str
) -> None:
    server.add_fault(Fault(fault))
    client = client_of(server)
    with pytest.raises(expected):
        client.get(*CONVERSATIONS)
    assert 1 == client.calls


@pytest.mark.parametrize(
    "fault",
    ["2", "1/99", "-1", "-2", "html_500", "service_unavailable_200", "reset_before", "reset_middle", "truncated_gzip"],
)
def test_what_passes_by_itself_is_tried_again(server: EmulatorServer, fault: str) -> None:
    server.add_fault(Fault(fault, times=2))
    client = client_of(server)
    assert 3 == len(client.get(*CONVERSATIONS)["data"])
    assert 3 == client.calls


def test_a_slow_answer_is_waited_for(server: EmulatorServer) -> None:
    server.add_fault(Fault("hang", delay_seconds=1.5, times=1))
    client = client_of(server)
    assert 3 == len(client.get(*CONVERSATIONS)["data"])
    assert 1 == client.calls


@pytest.mark.parametrize("fault", ["190/463", "368"])
def test_after_a_dead_token_or_a_block_nothing_more_is_sent(server: EmulatorServer, fault: str) -> None:
    server.add_fault(Fault(fault))
    client = client_of(server)
    for _ in range(3):
        with pytest.raises((TokenError, BlockedError)):
            client.get(*CONVERSATIONS)
    assert 1 == client.calls


def test_usage_on_an_error_answer_slows_the_pace_as_well(server: EmulatorServer) -> None:
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


def test_the_tries_for_what_passes_by_itself_are_bounded(server: EmulatorServer) -> None:
    server.add_fault(Fault("2"))
    client = client_of(server, attempts=4)
    with pytest.raises(TransientError):
        client.get(*CONVERSATIONS)
    assert 4 == client.calls


def test_a_short_rate_limit_is_waited_out_by_the_call(server: EmulatorServer) -> None:
    server.add_fault(Fault("613", times=1))
    client = client_of(server)
    assert 3 == len(client.get(*CONVERSATIONS)["data"])
    assert (2, 5) == (client.calls, sum(client.sleeps))  # type: ignore[attr-defined]
    assert (1, 5.0) == (client.statistics.limit_waits, client.statistics.limit_wait_seconds)


def test_after_a_short_rate_limit_the_pace_is_the_ordinary_one_again(server: EmulatorServer) -> None:
    server.add_fault(Fault("613", times=1))
    client = client_of(server)
    for _ in range(5):
        client.get(*CONVERSATIONS)
    assert 5 == pytest.approx(sum(client.sleeps), abs=0.1)  # type: ignore[attr-defined]


def test_a_long_rate_limit_is_raised_and_nothing_more_is_sent(server: EmulatorServer) -> None:
    server.add_fault(Fault("80006", times=1, regain_minutes=7))
    client = client_of(server)
    with pytest.raises(RateLimitError) as first:
        client.get(*CONVERSATIONS)
    assert (7 * 60, "messenger") == (first.value.retry_after, first.value.bucket)
    with pytest.raises(RateLimitError):
        client.get(*CONVERSATIONS)
    assert 1 == client.calls


def test_usage_is_read_on_success_and_on_errors(server: EmulatorServer) -> None:
    server.add_fault(Fault("usage", percent=91, times=1))
    client = client_of(server)
    client.get(*CONVERSATIONS)
    assert 91 == client.statistics.usage_percent


def test_a_steady_run_never_hits_the_wall() -> None:
    skipped = Sleeps()
    world = uniform_world(threads=1, messages_per_thread=1, platform="MESSENGER", page_id="100", now=NOW)
    # 200 calls in any minute, and a client that would send 20 a second: six times as many.
    settings = EmulatorSettings(messenger_calls=(200, 60), clock=skipped.clock)
    with EmulatorServer(world, settings) as limited:
        pacer = Pacer(20, clock=skipped.clock, sleep=skipped)
        credentials = Credentials(limited.page_token("100"))
        client = GraphClient(
            requests.Session(), credentials, base_url=limited.url, pacer=pacer, clock=skipped.clock, sleep=skipped
        )
        for _ in range(700):
            client.get(*CONVERSATIONS)
        assert {} == limited.statistics()["errors"]
    # And it is not slower than it must be: at least a third of what the limit allows.
    assert sum(skipped) < 3 * 700 / (200 / 60)


def test_no_answer_at_all_names_the_host_and_no_secret() -> None:
    world = uniform_world(threads=1, messages_per_thread=1, platform="MESSENGER", page_id="100", now=NOW)
    with EmulatorServer(world, EmulatorSettings()) as gone:
        client = client_of(gone, "s3cret-token", app_secret="s3cret-app", attempts=1)
    with pytest.raises(TransientError, match=r"No answer from 127\.0\.0\.1: ConnectionError") as caught:
        client.get(*CONVERSATIONS)
    assert "appsecret_proof" not in str(caught.value)
    assert (None, None) == (caught.value.__context__, caught.value.__cause__)


def test_a_redirect_is_never_followed(server: EmulatorServer) -> None:
    server.add_fault(Fault("redirect", url=f"{server.url}/elsewhere"))
    client = client_of(server)
    with pytest.raises(InvalidRequestError, match="redirect"):
        client.get(*CONVERSATIONS)
    assert 1 == client.calls


@pytest.mark.parametrize("base_url", ["graph.example.com", "", "ftp://graph.example.com", "http://", "//x"])
def test_a_host_without_scheme_is_refused_before_any_call(server: EmulatorServer, base_url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"https://graph\.facebook\.com"):
        client_of(server, base_url=base_url)


def test_the_page_token_comes_from_a_user_token_in_one_call(server: EmulatorServer) -> None:
    client = client_of(server, server.user_token)
    assert server.page_token("100") == page_identity(client.get, "100", with_instagram=False).token
    assert 1 == client.calls


def test_a_page_token_knows_its_page_and_instagram_account(server: EmulatorServer) -> None:
    identity = page_identity(client_of(server).get, "100", with_instagram=True)
    assert server.page_token("100") == identity.token
    assert {"100", identity.instagram_account_id} == identity.own_ids


def test_a_user_token_lists_its_pages_and_a_page_token_its_own(server: EmulatorServer) -> None:
    for token in (server.user_token, server.page_token("100")):
        assert ["100"] == [page.page_id for page in list_pages(client_of(server, token).get)]


def test_the_user_token_itself_is_refused_on_the_edge(server: EmulatorServer) -> None:
    with pytest.raises(TokenError, match="Page token"):
        client_of(server, server.user_token).get(*CONVERSATIONS)


def test_an_app_that_demands_proofs_gets_the_right_one() -> None:
    world = uniform_world(threads=1, messages_per_thread=1, platform="MESSENGER", page_id="100", now=NOW)
    with EmulatorServer(world, EmulatorSettings(require_proof=True)) as strict:
        assert 1 == len(client_of(strict, app_secret=strict.app_secret).get(*CONVERSATIONS)["data"])
        for wrong in (None, "wrong"):
            with pytest.raises(InvalidRequestError, match="app_secret"):
                client_of(strict, app_secret=wrong).get(*CONVERSATIONS)


def test_debug_logs_hold_no_proof_and_no_token(server: EmulatorServer, caplog: pytest.LogCaptureFixture) -> None:
    credentials = Credentials(server.page_token("100"), server.app_secret)
    client = client_of(server, app_secret=server.app_secret)
    with caplog.at_level(logging.DEBUG):
        client.get(*CONVERSATIONS)
    assert "appsecret_proof=***" in caplog.text
    secrets = (credentials.token, *credentials.parameters.values())
    assert [] == [secret for secret in secrets if secret in caplog.text]


def test_two_calls_a_second_is_the_pace_unless_told_otherwise(server: EmulatorServer) -> None:
    client = GraphClient(requests.Session(), Credentials(server.page_token("100")), base_url=server.url)
    started = time.monotonic()
    for _ in range(3):
        client.get("100")
    assert 1.0 <= time.monotonic() - started
