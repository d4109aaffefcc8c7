"""Erasures beside each other and beside an extraction and its load, in real processes that are retried as tasks are."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, MessageSpec, PageSpec, ThreadSpec, build_world
from airflow_provider_metaconv.erase.erase import Erasure, erase, read_suppressed
from airflow_provider_metaconv.extract.extraction import SuppressionChangedError
from airflow_provider_metaconv.files.errors import FilesError
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.load import LoadError, load_manifests
from airflow_provider_metaconv.warehouse import WarehouseError
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.e2e.leftovers import contents
from tests.integration.extract.extraction import extract, written
from tests.integration.processes import CLEAN

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
WINDOW = "platform=messenger/page_id=100/window=begin_20261120T000000Z"
PEOPLE = [f"7100000000{number:04}" for number in range(40)]
ANA, BOB = PEOPLE[0], PEOPLE[-1]
MESSAGES = 6
MOST_ATTEMPTS = 100
SECONDS_BETWEEN_ATTEMPTS = 0.1
SECONDS_FOR_A_PROCESS = 120


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    threads = [
        ThreadSpec(
            messages=[
                MessageSpec(
                    UNTIL - timedelta(hours=number + 1, minutes=back), f"text {back} of {person}", back % 2 == 0
                )
                for back in range(MESSAGES)
            ],
            thread_id=f"t_of_{person}",
            customer_name=f"Name of {person}",
            customer_id=person,
        )
        for number, person in enumerate(PEOPLE)
    ]
    with EmulatorServer(build_world([PageSpec("100", threads)])) as server:
        yield server


def retried(task: Callable[[], object]) -> None:
    """Runs a task until it succeeds, as Airflow does."""
    for _ in range(MOST_ATTEMPTS):
        try:
            task()
        except (FilesError, LoadError, SuppressionChangedError, WarehouseError):
            time.sleep(SECONDS_BETWEEN_ATTEMPTS)
        else:
            return
    task()


def erase_person(folder: Path, person: str) -> None:
    root = LocalStorage(folder / "files")
    retried(lambda: erase(root, Erasure((person,)), lambda: DuckDBWarehouse(folder / "meta.duckdb")))


def extract_and_load(folder: Path, url: str, token: str) -> None:
    server: Any = SimpleNamespace(url=url, user_token=token)
    root, window = LocalStorage(folder / "files"), folder / "files" / WINDOW

    def extract_once() -> None:
        extract(server, window, until=UNTIL, suppressed=read_suppressed(root), suppressed_in=root)

    def load_once() -> None:
        with DuckDBWarehouse(folder / "meta.duckdb") as warehouse:
            load_manifests([str(window / "_manifest.json")], warehouse)

    retried(extract_once)
    retried(load_once)


def run_together(*tasks: tuple[Any, ...]) -> None:
    """Runs functions with their arguments in one process each; all must end well."""
    processes = [CLEAN.Process(target=function, args=arguments) for function, *arguments in tasks]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(SECONDS_FOR_A_PROCESS)
        assert [process.exitcode for process in processes] == [0] * len(processes)
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()


def shown(folder: Path, people: list[str]) -> set[str]:
    """The people of whom any file, table or free block below the folder has something."""
    found = [content for _, _, content in contents(folder)]
    return {person for person in people if any(person.encode() in content for content in found)}


def people_with_messages(folder: Path) -> dict[str, list[tuple[str, int]]]:
    """The people in files and tables, with the number of their conversation's messages."""
    with duckdb.connect(str(folder / "meta.duckdb"), read_only=True) as connection:
        query = "SELECT conversation_id, count(*) FROM messages GROUP BY ALL ORDER BY ALL"
        in_tables = connection.execute(query).fetchall()
    ids = [row["conversation_id"] for row in written(folder / "files" / WINDOW).messages]
    return {"files": sorted((each, ids.count(each)) for each in set(ids)), "tables": in_tables}


def everybody_but(*erased: str) -> dict[str, list[tuple[str, int]]]:
    rows = [(f"t_of_{person}", MESSAGES) for person in PEOPLE if person not in erased]
    return {"files": rows, "tables": rows}


def receipts(folder: Path) -> list[dict[str, int]]:
    return [json.loads(path.read_bytes())["remaining"] for path in (folder / "files" / "_erasures").iterdir()]


def test_two_erasures_at_once_both_end(server: EmulatorServer, tmp_path: Path) -> None:
    extract_and_load(tmp_path, server.url, server.user_token)
    assert people_with_messages(tmp_path) == everybody_but()
    run_together((erase_person, tmp_path, ANA), (erase_person, tmp_path, BOB))
    assert people_with_messages(tmp_path) == everybody_but(ANA, BOB)
    assert shown(tmp_path, PEOPLE) == {*PEOPLE} - {ANA, BOB}
    assert [sum(remaining.values()) for remaining in receipts(tmp_path)] == [0, 0]


def test_an_erasure_beside_an_extraction_and_its_load(server: EmulatorServer, tmp_path: Path) -> None:
    """Ana's conversation is read first and Bob's last: the erasures begin after the one and before the other."""
    server.add_fault(Fault("page_size", edge="conversations", size=2))
    server.add_fault(Fault("hang", route="conversations", delay_seconds=0.1))
    extraction = (extract_and_load, tmp_path, server.url, server.user_token)
    run_together(extraction, (erase_person, tmp_path, ANA), (erase_person, tmp_path, BOB))
    assert people_with_messages(tmp_path) == everybody_but(ANA, BOB)
    assert shown(tmp_path, PEOPLE) == {*PEOPLE} - {ANA, BOB}
