from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from facebook_business.adobjects.page import Page
from facebook_business.adobjects.user import User
from facebook_business.api import FacebookAdsApi
from facebook_business.session import FacebookSession

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    EmulatorSettings,
    Fault,
    World,
    WorldSettings,
    uniform_world,
)

from .emulator_reader import get, walk

NOON = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp())


def wait_for_messages(server: EmulatorServer, count: int) -> None:
    deadline = time.monotonic() + 5
    while len(server.world.messages) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(server.world.messages) >= count


def test_the_ground_truth_is_what_a_plain_reader_finds(varied: EmulatorServer) -> None:
    since, until = "2026-11-05T00:00:00+00:00", "2026-11-15T12:00:00+00:00"
    for page_id in ("100", "101"):
        for platform in ("MESSENGER", "INSTAGRAM"):
            walked = walk(varied, page_id, platform, 100, 50)
            found = {
                row["id"]: len(row) > 2
                for _, messages in walked
                for row in messages
                if since[:19] <= row["created_time"][:19] < until[:19]
            }
            truth = varied.ground_truth(page_id, platform, since, until)
            assert set(found) == truth.message_ids
            assert (len(found), list(found.values()).count(False)) == (truth.messages, truth.unavailable)
            query = {"page_id": page_id, "platform": platform, "since": since, "until": until, "ids": "true"}
            over_http = requests.get(f"{varied.url}/_emulator/ground_truth", params=query, timeout=5).json()
            assert sorted(found) == over_http["message_ids"]
            assert (truth.conversations, truth.messages) == (over_http["conversations"], over_http["messages"])


def test_the_ground_truth_of_all_folders_covers_the_world(varied: EmulatorServer) -> None:
    found = requests.get(f"{varied.url}/_emulator/ground_truth?folder=all", timeout=5).json()
    assert (len(found), sum(row["messages"] for row in found)) == (4, 3_000)


@pytest.mark.parametrize("bad", ["page_id=9", "platform=x", "since=yesterday", "until=2026-01-01T00:00:00", "folder=x"])
def test_a_bad_ground_truth_query_is_a_400_with_an_error(varied: EmulatorServer, bad: str) -> None:
    answer = requests.get(f"{varied.url}/_emulator/ground_truth?{bad}", timeout=5)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_arrivals_over_http_are_reproducible_and_can_be_read() -> None:
    body = {"messages": 5, "seed": 9, "created_time": "2026-11-20T11:00:00Z", "platform": "INSTAGRAM"}
    settings = EmulatorSettings(clock=lambda: NOON)
    with (
        EmulatorServer(uniform_world(threads=30, messages_per_thread=3), settings) as server,
        EmulatorServer(uniform_world(threads=30, messages_per_thread=3), settings) as other,
    ):
        arrived = requests.post(f"{server.url}/_emulator/arrivals", json=body, timeout=5).json()["message_ids"]
        since = "2026-11-20T11:00:00+00:00"
        assert set(arrived) == server.ground_truth(platform="INSTAGRAM", since=since).message_ids
        assert arrived == requests.post(f"{other.url}/_emulator/arrivals", json=body, timeout=5).json()["message_ids"]
        assert requests.post(f"{server.url}/_emulator/arrivals", timeout=5).status_code == 200
        assert requests.post(f"{server.url}/_emulator/arrivals", json={"page_id": "9"}, timeout=5).status_code == 400


@pytest.mark.parametrize(
    "when", [{}, {"created_time": "2026-11-20T11:59:59Z"}, {"created_time": "2026-11-21T00:00:00Z"}]
)
def test_arrivals_over_http_are_never_dated_in_the_future(when: dict[str, str]) -> None:
    with EmulatorServer(uniform_world(3, 1), EmulatorSettings(clock=lambda: NOON)) as server:
        body = {"messages": 20, **when}
        arrived = requests.post(f"{server.url}/_emulator/arrivals", json=body, timeout=5).json()["message_ids"]
        times = [server.world.messages[each][1].created_time for each in arrived]
        assert (len(times), max(times)) == (20, NOON)


def test_live_traffic_is_never_dated_in_the_future() -> None:
    settings = EmulatorSettings(arrivals_per_minute=3_000, clock=lambda: NOON)
    with EmulatorServer(uniform_world(3, 1, now=datetime(2026, 11, 21, tzinfo=UTC)), settings) as server:
        known = set(server.world.messages)
        wait_for_messages(server, 8)
        arrived = [message for key, (_, message) in server.world.messages.copy().items() if key not in known]
        assert {message.created_time for message in arrived} == {NOON}


def test_messages_keep_arriving_with_live_traffic() -> None:
    with EmulatorServer(uniform_world(3, 1), EmulatorSettings(arrivals_per_minute=3_000)) as server:
        wait_for_messages(server, 8)


def test_statistics_count_only_graph_calls(small: EmulatorServer) -> None:
    get(small, "100/conversations")
    get(small, "100/conversations", platform="instagram")
    get(small, "100", fields="x")
    requests.get(f"{small.url}/nonsense", timeout=5)
    requests.get(f"{small.url}/_emulator/health", timeout=5)
    report = requests.get(f"{small.url}/_emulator/statistics", timeout=5).json()
    assert report == small.statistics()
    assert (report["calls"], report["calls_by_page"]) == (4, {"100": 3})
    assert report["calls_by_route"] == {"conversations": 2, "page": 1}
    assert report["errors"] == {"100": 1, "100/33": 1}


def test_the_index_page_has_commands_that_work(small: EmulatorServer) -> None:
    page = requests.get(f"{small.url}/_emulator/", timeout=5)
    assert page.headers["content-type"].startswith("text/html")
    assert small.page_token() in page.text
    assert f"curl '{small.url}/v26.0/me/accounts?access_token=emulator-user-token'" in page.text.replace("&#x27;", "'")


@pytest.mark.parametrize("on", [True, False])
def test_large_responses_are_gzipped_unless_disabled(on: bool) -> None:
    with EmulatorServer(uniform_world(30, 3), EmulatorSettings(gzip=on)) as server:
        assert on == ("content-encoding" in get(server, "100/conversations", limit=30).headers)
        assert "content-encoding" not in get(server, "100").headers


def test_latency_delays_every_response() -> None:
    with EmulatorServer(uniform_world(1, 1), EmulatorSettings(latency_ms=80)) as server:
        start = time.perf_counter()
        get(server, "100")
        assert 0.08 <= time.perf_counter() - start < 2


def test_servers_start_and_stop_quickly_and_leave_nothing_behind() -> None:
    world = uniform_world(2, 1)
    before = threading.active_count()
    start = time.perf_counter()
    for _ in range(10):
        with EmulatorServer(world) as server:
            server.add_fault(Fault("hang", delay_seconds=30, route="me"))
            session = requests.Session()
            session.get(f"{server.url}/_emulator/health", timeout=5)
            with pytest.raises(requests.RequestException):
                session.get(f"{server.url}/me?access_token={server.user_token}", timeout=0.02)
    assert time.perf_counter() - start < 3
    assert before == threading.active_count()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=1)


def test_a_port_in_use_is_an_error(small: EmulatorServer) -> None:
    with pytest.raises(OSError, match="in use"):
        EmulatorServer(small.world, port=int(small.url.rpartition(":")[2])).start()


@pytest.fixture
def sdk(varied: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The official Python SDK, pointed at the emulator."""
    monkeypatch.setattr(FacebookSession, "GRAPH", varied.url)
    yield
    FacebookAdsApi.set_default_api(None)


@pytest.mark.usefixtures("sdk")
def test_the_official_sdk_reads_pages_conversations_and_messages(varied: EmulatorServer) -> None:
    options = {"app_secret": varied.app_secret, "api_version": "v26.0", "crash_log": False}
    FacebookAdsApi.init(access_token=varied.user_token, **options)
    pages = list(User("me").get_accounts(fields=["id", "access_token"]))
    assert [page["id"] for page in pages] == ["100", "101"]
    FacebookAdsApi.init(access_token=pages[0]["access_token"], **options)
    for platform in ("MESSENGER", "INSTAGRAM"):
        threads = list(Page("100").get_conversations(fields=["id"], params={"platform": platform, "limit": 100}))
        truth = varied.ground_truth("100", platform)
        assert truth.conversations == len(threads)
        longest = max(threads[:40], key=lambda each: len(varied.world.threads[each["id"]].messages))
        found = {message["id"] for message in longest.get_messages(fields=["id", "message"])}
        assert {message.id for message in varied.world.threads[longest["id"]].messages} == found


def test_the_command_line_reports_when_it_is_ready_and_stops_cleanly(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    faults = '[{"name": "2", "times": 1}]'
    options = ["--messages", "400", "--pages", "2", "--now", "2026-11-20T00:00:00Z", "--messenger-limit", "3/60"]
    command = [sys.executable, "-m", "airflow_provider_metaconv.emulator", *options, "--faults", faults]
    with subprocess.Popen([*command, "--ready-file", str(ready)], stdout=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 20
            while not ready.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert stat.S_IMODE(ready.stat().st_mode) == 0o600
            facts = json.loads(ready.read_text())
            url = f"{facts['url']}/v26.0/100/conversations?access_token={facts['page_tokens']['100']}"
            assert [requests.get(url, timeout=5).status_code for _ in range(4)] == [500, 200, 200, 400]
            expected = EmulatorServer(World.generate(WorldSettings(messages=400, pages=2))).ground_truth()
            query = {"page_id": "100", "platform": "MESSENGER"}
            truth = requests.get(f"{facts['url']}/_emulator/ground_truth", params=query, timeout=5).json()
            assert expected.messages == truth["messages"]
        finally:
            process.send_signal(signal.SIGTERM)
            printed = process.communicate(timeout=10)[0]
    assert process.returncode == 0
    assert printed.startswith(f"Graph API emulator on {facts['url']}")
    assert facts["page_tokens"]["101"] in printed
    assert set(facts) == {"url", "user_token", "page_tokens", "app_secret"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--faults", '{"name": "x"}'], "unknown fault 'x'"),
        (["--faults", "{"], "--faults must be valid JSON"),
        (["--faults", "@/nonexistent"], "No such file"),
        (["--messenger-limit", "5"], "N/SECONDS"),
        (["--now", "yesterday"], "Invalid isoformat"),
        (["--now", "2026-11-20"], "no time zone"),
        (["--pages", "0"], "pages must be at least 1"),
        (["--messages", "x"], "invalid int value"),
    ],
)
def test_a_bad_option_is_reported_in_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from airflow_provider_metaconv.emulator.__main__ import main

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with pytest.raises(SystemExit) as stopped:
        main(options)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    printed = capsys.readouterr().err
    assert (stopped.value.code, printed.count("\n")) == (2, 1)
    assert message in printed


def test_the_server_listens_on_this_machine_only(small: EmulatorServer) -> None:
    assert small.url.startswith("http://127.0.0.1:")
    with socket.create_connection(("127.0.0.1", int(small.url.rpartition(":")[2])), timeout=1):
        pass
