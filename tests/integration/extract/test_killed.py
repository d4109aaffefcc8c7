"""kill -9 at any moment: the next attempt continues, costs at most a few calls more, and gives the same result."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, uniform_world
from airflow_provider_metaconv.files import LocalStorage
from tests.integration.extract.extraction import written
from tests.integration.extract.kill_target import KilledInCleanup, extract_page
from tests.integration.processes import CLEAN

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
THREADS = 120
ROWS_PER_PART = 160


@pytest.fixture(scope="module")
def server() -> Iterator[EmulatorServer]:
    world = uniform_world(threads=THREADS, messages_per_thread=9, now=NOW, spacing_seconds=1)
    with EmulatorServer(world, EmulatorSettings(latency_ms=2)) as running:
        yield running


def start(server: EmulatorServer, storage: LocalStorage, rows_per_part: int = ROWS_PER_PART) -> ForkServerProcess:
    process = CLEAN.Process(
        target=extract_page, args=(server.url, server.user_token, storage, NOW, rows_per_part), daemon=True
    )
    process.start()
    return process


def exit_code(process: ForkServerProcess) -> int | None:
    process.join()
    return process.exitcode


def kill_when(process: ForkServerProcess, ready: Callable[[], bool]) -> bool:
    """Kills the process once ``ready`` returns true; returns False if the process finished first."""
    while not ready():
        if process.exitcode is not None:
            assert process.exitcode == 0
            return False
        time.sleep(0.001)
    process.kill()
    return exit_code(process) == -signal.SIGKILL


def calls(server: EmulatorServer) -> int:
    return int(server.statistics()["calls"])


@pytest.fixture(scope="module")
def undisturbed(server: EmulatorServer, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The number of calls of an undisturbed extraction."""
    before = calls(server)
    assert exit_code(start(server, LocalStorage(tmp_path_factory.mktemp("undisturbed")))) == 0
    return calls(server) - before


def finish_and_compare(server: EmulatorServer, folder: Path) -> None:
    assert exit_code(start(server, LocalStorage(folder))) == 0
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
    assert kill_when(start(server, LocalStorage(tmp_path)), boundary.exists)
    finish_and_compare(server, tmp_path)
    assert calls(server) - before <= undisturbed * 1.02 + 5


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_at_a_random_point_loses_nothing(
    server: EmulatorServer, tmp_path: Path, undisturbed: int, seed: int
) -> None:
    before = calls(server)
    moment = before + random.Random(seed).randint(2, undisturbed - 2)
    killed = kill_when(start(server, LocalStorage(tmp_path)), lambda: calls(server) >= moment)
    finish_and_compare(server, tmp_path)
    assert not killed or calls(server) - before <= undisturbed * 1.02 + 5


def test_repeated_kills_lose_nothing(server: EmulatorServer, tmp_path: Path) -> None:
    for _ in range(4):
        moment = calls(server) + 120
        kill_when(start(server, LocalStorage(tmp_path)), lambda moment=moment: calls(server) >= moment)  # type: ignore[misc]
    finish_and_compare(server, tmp_path)


@pytest.mark.parametrize("removals", [0, 1, 3])
def test_after_a_kill_during_cleanup_nothing_is_read_again(
    server: EmulatorServer, tmp_path: Path, removals: int
) -> None:
    storage = KilledInCleanup(tmp_path, removals)
    assert exit_code(start(server, storage, rows_per_part=100_000)) == -signal.SIGKILL
    published = (tmp_path / "_manifest.json").read_bytes()
    before = calls(server)
    finish_and_compare(server, tmp_path)
    # Only the Page's identity, which every attempt requests before it reads any file.
    assert calls(server) - before <= 2
    assert published == (tmp_path / "_manifest.json").read_bytes()


def test_after_a_destination_vanishes_the_next_attempt_starts_over(server: EmulatorServer, tmp_path: Path) -> None:
    folder = tmp_path / "files" / "window"
    process = start(server, LocalStorage(folder))
    while not (folder / "messages-00002.ndjson.gz").exists():
        assert process.exitcode is None
        time.sleep(0.001)
    (tmp_path / "files").rename(tmp_path / "unmounted")
    # The process may have recreated the folder; what it wrote there never counts as a finished window by mistake.
    if exit_code(process) == 0:
        found = written(folder)
        assert sorted(server.ground_truth("100").message_ids) == sorted(found.message_ids)
    finish_and_compare(server, folder)
