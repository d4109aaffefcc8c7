"""kill -9 at any moment: the next attempt continues, costs at most a few calls more, and gives the same result."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, uniform_world
from tests.integration.extract.extraction import written

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
THREADS = 120
ROWS_PER_PART = 160


@pytest.fixture(scope="module")
def server() -> Iterator[EmulatorServer]:
    world = uniform_world(threads=THREADS, messages_per_thread=9, now=NOW, spacing_seconds=1)
    with EmulatorServer(world, EmulatorSettings(latency_ms=2)) as running:
        yield running


def start(server: EmulatorServer, folder: Path) -> subprocess.Popen[bytes]:
    arguments = [server.url, server.user_token, str(folder), NOW.isoformat(), "ndjson", str(ROWS_PER_PART)]
    return subprocess.Popen([sys.executable, "-m", "tests.integration.extract.kill_target", *arguments])


def kill_when(child: subprocess.Popen[bytes], ready: Callable[[], bool]) -> bool:
    """Kills the process once ``ready`` returns true; returns False if the process finished first."""
    while not ready():
        if child.poll() is not None:
            assert child.returncode == 0
            return False
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    return child.wait() == -signal.SIGKILL


def calls(server: EmulatorServer) -> int:
    return int(server.statistics()["calls"])


@pytest.fixture(scope="module")
def undisturbed(server: EmulatorServer, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The number of calls of an undisturbed extraction."""
    before = calls(server)
    assert start(server, tmp_path_factory.mktemp("undisturbed")).wait() == 0
    return calls(server) - before


def finish_and_compare(server: EmulatorServer, folder: Path) -> None:
    assert start(server, folder).wait() == 0
    found = written(folder)
    assert sorted(server.ground_truth("100").message_ids) == sorted(found.message_ids)
    assert len({row["conversation_id"] for row in found.conversations}) == len(found.conversations) == THREADS
    assert {row["messages_extracted"] for row in found.conversations} == {9}
    left = {path.name for path in folder.iterdir()}
    assert left == {"_manifest.json", *(file["path"] for file in found.manifest["files"])}


@pytest.mark.parametrize("part", range(6))
def test_a_kill_at_any_part_boundary_loses_nothing(
    server: EmulatorServer, tmp_path: Path, undisturbed: int, part: int
) -> None:
    before = calls(server)
    boundary = tmp_path / f"messages-{part:05d}.ndjson.gz"
    assert kill_when(start(server, tmp_path), boundary.exists)
    finish_and_compare(server, tmp_path)
    assert calls(server) - before <= undisturbed * 1.02 + 5


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_at_a_random_point_loses_nothing(
    server: EmulatorServer, tmp_path: Path, undisturbed: int, seed: int
) -> None:
    before = calls(server)
    moment = before + random.Random(seed).randint(2, undisturbed - 2)
    killed = kill_when(start(server, tmp_path), lambda: calls(server) >= moment)
    finish_and_compare(server, tmp_path)
    assert not killed or calls(server) - before <= undisturbed * 1.02 + 5


def test_repeated_kills_lose_nothing(server: EmulatorServer, tmp_path: Path) -> None:
    for _ in range(4):
        moment = calls(server) + 120
        kill_when(start(server, tmp_path), lambda moment=moment: calls(server) >= moment)  # type: ignore[misc]
    finish_and_compare(server, tmp_path)


@pytest.mark.parametrize("removals", [0, 1, 3])
def test_after_a_kill_during_cleanup_nothing_is_read_again(
    server: EmulatorServer, tmp_path: Path, removals: int
) -> None:
    arguments = [server.url, server.user_token, str(tmp_path), NOW.isoformat(), str(removals)]
    child = subprocess.run(
        [sys.executable, "-m", "tests.integration.extract.kill_target_in_cleanup", *arguments], check=False
    )
    assert child.returncode == -signal.SIGKILL
    published = (tmp_path / "_manifest.json").read_bytes()
    before = calls(server)
    finish_and_compare(server, tmp_path)
    # Only the Page's identity, which every attempt requests before it reads any file.
    assert calls(server) - before <= 2
    assert published == (tmp_path / "_manifest.json").read_bytes()


def test_after_a_destination_vanishes_the_next_attempt_starts_over(server: EmulatorServer, tmp_path: Path) -> None:
    folder = tmp_path / "files" / "window"
    child = start(server, folder)
    while not (folder / "messages-00002.ndjson.gz").exists():
        assert child.poll() is None
        time.sleep(0.001)
    (tmp_path / "files").rename(tmp_path / "unmounted")
    child.wait()
    # The process may have recreated the folder; what it wrote there never counts as a finished window by mistake.
    if child.returncode == 0:
        found = written(folder)
        assert sorted(server.ground_truth("100").message_ids) == sorted(found.message_ids)
    finish_and_compare(server, folder)
