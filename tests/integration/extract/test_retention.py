"""Old messages leave the files, younger ones stay as they are, and no gap remains to be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, MessageSpec, PageSpec, ThreadSpec, build_world
from airflow_provider_metaconv.erase.retention import Removed, remove_old
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files.coverage import Coverage, Span
from airflow_provider_metaconv.files.coverage_record import claim_window, read_coverage, record_window
from airflow_provider_metaconv.files.errors import StorageError
from airflow_provider_metaconv.files.manifest import Manifest
from airflow_provider_metaconv.files.reading import rows_of
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.errors import GraphError
from airflow_provider_metaconv.schema import CONVERSATIONS, EXTRACTION_WINDOWS, MESSAGES, Row, Table
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.e2e.leftovers import contents
from tests.integration.extract.extraction import extract, written

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
RETENTION = timedelta(days=3)
CUTOFF = UNTIL - RETENTION
PAGE = "platform=messenger/page_id=100"
HISTORY = f"{PAGE}/window=begin_20261120T000000Z"
OLD = f"{PAGE}/window=20261116T000000Z_20261117T000000Z"
YOUNG = f"{PAGE}/window=20261117T000000Z_20261118T000000Z"
OF_A_PERSON = f"{PAGE}/user_id=7100000/window=20261116T000000Z_20261117T000000Z"
NOTHING = Removed(CUTOFF.isoformat(), 0, {}, {})


def thread(number: int, *days: float) -> ThreadSpec:
    """A conversation with messages that many days before the end."""
    messages = [MessageSpec(UNTIL - timedelta(days=each), f"text of day {each} in {number}") for each in days]
    return ThreadSpec(messages=messages, thread_id=f"t_{number}", customer_id=f"710000{number}")


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    threads = [thread(0, 5, 4, 3.5, 3, 1), thread(1, 3.25), thread(2, 2.5, 0.5)]
    with EmulatorServer(build_world([PageSpec("100", threads)])) as server:
        yield server


@pytest.fixture(params=["ndjson", "parquet"])
def file_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def remove(root: Path, cutoff: datetime = CUTOFF) -> Removed:
    return remove_old(LocalStorage(root), cutoff, RETENTION)


def rows(folder: Path, table: Table) -> list[Row]:
    """The rows of a window's table."""
    storage = LocalStorage(folder)
    manifest = Manifest.from_bytes(storage.read("_manifest.json"))
    return list(rows_of(storage, manifest.files, table))


def folders(root: Path) -> set[str]:
    """The folders with files, relative to the destination."""
    return {str(path.parent.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def days_in(root: Path) -> set[float]:
    """The days before the end of the messages that any file contains."""
    days = (5, 4, 3.5, 3.25, 3, 2.5, 1, 0.5)
    found = b"".join(content for _, _, content in contents(root))
    return {day for day in days if f"text of day {day} ".encode() in found}


def test_messages_before_the_cutoff_leave_and_others_stay(
    server: EmulatorServer, tmp_path: Path, file_format: str
) -> None:
    extract(server, tmp_path / HISTORY, until=UNTIL, file_format=file_format)
    before = rows(tmp_path / HISTORY, MESSAGES)
    removed = remove(tmp_path)
    after = rows(tmp_path / HISTORY, MESSAGES)
    assert after == [row for row in before if datetime.fromisoformat(row["created_time"]) >= CUTOFF]
    assert len(after) == 4
    assert removed == Removed(CUTOFF.isoformat(), 1, {"conversations": 1, "messages": 4}, {})
    assert days_in(tmp_path) == {3, 2.5, 1, 0.5}
    [first] = [row for row in rows(tmp_path / HISTORY, CONVERSATIONS) if row["conversation_id"] == "t_0"]
    assert (first["messages_extracted"], first["oldest_message_time"]) == (2, CUTOFF.isoformat())
    [window] = rows(tmp_path / HISTORY, EXTRACTION_WINDOWS)
    for counts in (json.loads((tmp_path / HISTORY / "_manifest.json").read_bytes())["stats"], window):
        assert (counts["messages"], counts["conversations"]) == (4, 2)


def test_windows_that_have_ended_before_leave_as_a_whole(server: EmulatorServer, tmp_path: Path) -> None:
    day = timedelta(days=1)
    extract(server, tmp_path / OLD, since=CUTOFF - day, until=CUTOFF)
    extract(server, tmp_path / OF_A_PERSON, since=CUTOFF - day, until=CUTOFF)
    extract(server, tmp_path / YOUNG, since=CUTOFF, until=CUTOFF + day)
    (tmp_path / OLD / "_manifest.json").write_text("damaged")
    before = written(tmp_path / YOUNG)
    assert remove(tmp_path).windows == 2
    assert folders(tmp_path) == {YOUNG, "_retention"}
    assert written(tmp_path / YOUNG) == before


@pytest.mark.parametrize("is_recorded", [True, False])
def test_time_of_removed_messages_is_neither_covered_nor_a_gap(
    server: EmulatorServer, tmp_path: Path, is_recorded: bool
) -> None:
    page, since, hour = LocalStorage(tmp_path / PAGE), CUTOFF - timedelta(days=2), timedelta(hours=1)
    for folder, begin, end in ((OLD, since, CUTOFF - hour), (YOUNG, CUTOFF - hour, CUTOFF + hour)):
        extract(server, tmp_path / folder, since=begin, until=end)
        if is_recorded:
            record_window(page, begin, end, complete=True)
    remove(tmp_path)
    assert read_coverage(page).version is not None
    assert read_coverage(page).coverage == Coverage(CUTOFF, (Span(CUTOFF, CUTOFF + hour),))
    # A retention that is longer from now on does not bring it back either.
    assert claim_window(page, CUTOFF + 2 * hour, UNTIL, since)[0] == CUTOFF + hour


def test_the_lookback_of_a_window_leaves(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / YOUNG, since=CUTOFF, until=UNTIL, lookback=timedelta(hours=12))
    assert 3.5 in days_in(tmp_path)
    remove(tmp_path)
    assert days_in(tmp_path) == {3, 2.5, 1, 0.5}


def test_a_checkpoint_with_old_messages_leaves(server: EmulatorServer, tmp_path: Path) -> None:
    for folder, since in ((HISTORY, None), (YOUNG, CUTOFF)):
        server.add_fault(Fault("190", after_calls=4))
        with pytest.raises(GraphError):
            extract(server, tmp_path / folder, since=since, until=UNTIL, sizes=Sizes(1, 1), rows_per_part=1)
        server.clear_faults()
    assert folders(tmp_path) == {HISTORY, YOUNG}
    remove(tmp_path)
    assert folders(tmp_path) == {YOUNG, "_retention"}


def test_parts_that_a_lifecycle_rule_has_deleted_are_no_obstacle(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / HISTORY, until=UNTIL, sizes=Sizes(1, 1), rows_per_part=1)
    parts = sorted((tmp_path / HISTORY).glob("messages-*"))
    parts[0].unlink()
    assert remove(tmp_path).files["messages"] in (3, 4)
    assert days_in(tmp_path) <= {3, 2.5, 1, 0.5}
    listed = {file["path"] for file in json.loads((tmp_path / HISTORY / "_manifest.json").read_bytes())["files"]}
    assert listed - {path.name for path in (tmp_path / HISTORY).iterdir()} == {parts[0].name}


def test_it_works_once_for_each_cutoff(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / HISTORY, until=UNTIL)
    assert remove(tmp_path).windows == 1
    written_before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert remove(tmp_path) == NOTHING
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == written_before
    assert remove(tmp_path, CUTOFF + timedelta(days=1)).files == {"messages": 2}
    record = tmp_path / "_retention" / next((tmp_path / "_retention").iterdir()).name
    for unusable in ("", "{}", json.dumps({"version": 1, "cutoff": CUTOFF.isoformat(), "finished": None})):
        record.write_text(unusable)
        assert remove(tmp_path) == NOTHING
        assert json.loads(record.read_text())["finished"] is not None


class _KilledError(BaseException):
    """``kill -9``."""


class _Dying(LocalStorage):
    """A storage whose process dies before one of its effects."""

    left = 0

    def _die(self) -> None:
        _Dying.left -= 1
        if _Dying.left == 0:
            raise _KilledError

    def publish(self, temporary: Path, name: str, *, sha256: str | None = None) -> None:
        self._die()
        super().publish(temporary, name, sha256=sha256)

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        self._die()
        super().publish_bytes(data, name, durable=durable)

    def delete(self, name: str) -> None:
        self._die()
        super().delete(name)

    def child(self, name: str) -> LocalStorage:
        return _Dying(super().child(name).folder)

    def below(self, holding: str) -> Any:
        return [_Dying(found.folder) for found in super().below(holding)]


def test_a_removal_killed_at_any_moment_is_finished_by_the_next(server: EmulatorServer, tmp_path: Path) -> None:
    kills = 0
    for moment in range(1, 100):
        root = tmp_path / str(moment)
        extract(server, root / HISTORY, until=UNTIL)
        extract(server, root / OLD, since=CUTOFF - timedelta(days=1), until=CUTOFF)
        _Dying.left = moment
        try:
            remove_old(_Dying(root), CUTOFF, RETENTION)
        except _KilledError:
            kills += 1
        else:
            break
        _Dying.left = 0
        remove(root)
        assert days_in(root) == {3, 2.5, 1, 0.5}
        assert len(written(root / HISTORY).messages) == 4
        assert folders(root) == {PAGE, HISTORY, "_retention"}
    assert kills > 8


def test_a_window_that_is_being_extracted_makes_the_task_retry(server: EmulatorServer, tmp_path: Path) -> None:
    extract(server, tmp_path / HISTORY, until=UNTIL)
    with LocalStorage(tmp_path / HISTORY).lock(), pytest.raises(StorageError, match="another task is writing"):
        remove(tmp_path)
    assert remove(tmp_path).windows == 1


def test_tables_and_files_lose_the_same(server: EmulatorServer, tmp_path: Path) -> None:
    from airflow_provider_metaconv.load.load import load_manifests

    extract(server, tmp_path / HISTORY, until=UNTIL)
    database = tmp_path / "meta.duckdb"
    with DuckDBWarehouse(database) as warehouse:
        load_manifests([str(tmp_path / HISTORY / "_manifest.json")], warehouse)
    removed = remove_old(LocalStorage(tmp_path), CUTOFF, RETENTION, lambda: DuckDBWarehouse(database), "duckdb")
    assert {name: count for name, count in removed.tables.items() if count} == removed.files
    assert b"text of day 5" not in database.read_bytes()
    with DuckDBWarehouse(database) as warehouse:
        result = load_manifests([str(tmp_path / HISTORY / "_manifest.json")], warehouse)
        assert result.tables["messages"].inserted == 0
        assert warehouse.remove_old(CUTOFF, RETENTION)["messages"] == 0


def test_an_incomplete_window_of_old_time_is_not_read_again(server: EmulatorServer, tmp_path: Path) -> None:
    page = LocalStorage(tmp_path / PAGE)
    record_window(page, CUTOFF - timedelta(days=3), CUTOFF - timedelta(days=2), complete=False)
    begin, _ = claim_window(page, UNTIL - timedelta(hours=1), UNTIL, CUTOFF)
    assert begin == CUTOFF
    record_window(page, begin, UNTIL, complete=True)
    assert claim_window(page, UNTIL, UNTIL + timedelta(hours=1), CUTOFF)[0] == UNTIL
