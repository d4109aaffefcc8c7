"""Extractions into a bucket: the same rows as in a folder, despite interruptions and concurrent runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.cloud.storage import Bucket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, uniform_world
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files import MANIFEST_NAME, Manifest, StorageError
from airflow_provider_metaconv.files.storage.gcs import GCSStorage
from airflow_provider_metaconv.graph.errors import RateLimitError
from local_servers.servers import StorageServer
from tests.integration.extract.extraction import Written, extract, written
from tests.thoroughness import IS_THOROUGH

END = datetime(2026, 11, 2, tzinfo=UTC)
ARGUMENTS: dict[str, Any] = {"until": END, "sizes": Sizes(5, 3, 3), "rows_per_part": 25}
FOLDER = "raw/page_id=100/window=1"
WRITER_CONFLICT = f"another task is writing to gs://[^/]+/{FOLDER}: let it finish, and give each task its own window"

pytestmark = pytest.mark.usefixtures("local_files")


@pytest.fixture(scope="module")
def graph():
    with EmulatorServer(uniform_world(threads=40, messages_per_thread=4, now=END, spacing_seconds=1)) as server:
        yield server


@pytest.fixture(autouse=True)
def without_faults(graph):
    graph.clear_faults()
    yield
    graph.clear_faults()


def copied(bucket: Bucket, to: Path, folder: str = FOLDER) -> Written:
    """What the manifest in the bucket lists, downloaded with Google's own client."""
    to.mkdir(parents=True)
    for blob in bucket.list_blobs(prefix=f"{folder}/"):
        blob.download_to_filename(str(to / blob.name.rpartition("/")[2]))
    found = written(to)
    assert {MANIFEST_NAME, *(file["path"] for file in found.manifest["files"])} <= {path.name for path in to.iterdir()}
    return found


def names(bucket: Bucket) -> list[str]:
    return [blob.name.removeprefix(f"{FOLDER}/") for blob in bucket.list_blobs()]


def finished(found: Written) -> list[str]:
    return sorted([MANIFEST_NAME, *(file["path"] for file in found.manifest["files"])])


def contents(found: Written) -> list[Any]:
    """The rows without their time of extraction."""
    rows = [*found.messages, *found.conversations]
    return sorted(str({key: value for key, value in row.items() if key != "extracted_time"}) for row in rows)


def manifest_without_times(found: Written) -> dict[str, Any]:
    """The manifest without its times, its extraction's id, and the boundaries between parts."""
    stats = {key: value for key, value in found.manifest["stats"].items() if key not in ("started", "finished")}
    tables = sorted({file["table"] for file in found.manifest["files"]})
    return {**found.manifest, "stats": stats, "files": tables, "extraction_id": ""}


def test_a_bucket_holds_the_same_rows_as_a_folder(graph, bucket, tmp_path, local_files):
    extract(graph, tmp_path / "local", **ARGUMENTS)
    extraction = extract(graph, GCSStorage(bucket, FOLDER), **ARGUMENTS)
    local, remote = written(tmp_path / "local"), copied(bucket, tmp_path / "remote")
    assert contents(local) == contents(remote)
    assert manifest_without_times(local) == manifest_without_times(remote)
    assert extraction.manifest == f"gs://{bucket.name}/{FOLDER}/{MANIFEST_NAME}"
    assert (finished(remote), []) == (names(bucket), local_files())


def test_an_interrupted_extraction_resumes_where_it_ended(graph, bucket, tmp_path, local_files):
    undisturbed = extract(graph, GCSStorage(bucket, "else"), **ARGUMENTS)
    for calls in (4, 9, 2):
        graph.add_fault(Fault("80006", after_calls=calls, times=1, regain_minutes=1))
        with pytest.raises(RateLimitError):
            extract(graph, GCSStorage(bucket, FOLDER), **ARGUMENTS)
        graph.clear_faults()
    resumed = extract(graph, GCSStorage(bucket, FOLDER), **ARGUMENTS)
    found = copied(bucket, tmp_path / "remote")
    assert sorted(graph.ground_truth("100").message_ids) == sorted(found.message_ids)
    assert (found.manifest["stats"]["attempts"], resumed.calls <= undisturbed.calls + 4 * 5) == (4, True)
    assert [name for name in names(bucket) if "page" not in name and "else" not in name] == [*finished(found)]
    assert local_files() == []


def test_a_checkpoint_is_replaced_no_more_often_than_allowed(graph, bucket, server):
    extract(graph, GCSStorage(bucket, FOLDER), until=END, sizes=Sizes(1, 1, 1))
    replaced = sum("name=" not in line and "POST" in line for line in server.requests)
    assert replaced < 12


class Turns:
    """Lets two threads act in a given order; a thread that is alone acts immediately."""

    def __init__(self, order: Sequence[bool]) -> None:
        self._order = list(order)
        self._running = {False, True}
        self._changed = threading.Condition()

    def take(self, who: bool) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: not self._order or self._order[0] == who or len(self._running) < 2, timeout=60
            )
            if self._order and self._order[0] == who:
                self._order.pop(0)
            self._changed.notify_all()

    def leave(self, who: bool) -> None:
        with self._changed:
            self._running.discard(who)
            self._changed.notify_all()


class InTurns(GCSStorage):
    """A storage whose reads and writes wait for their turn."""

    seconds_between_replacements = 0.0

    def __init__(self, bucket: Bucket, turns: Turns, who: bool) -> None:
        super().__init__(bucket, FOLDER)
        self._turns, self._who = turns, who
        # Two machines, not one.
        self._temporaries = self._temporaries.with_name(f"{self._temporaries.name}-{who}")

    def _upload(self, *arguments: Any) -> None:
        self._turns.take(self._who)
        super()._upload(*arguments)

    def _download(self, *arguments: Any) -> int:
        self._turns.take(self._who)
        return super()._download(*arguments)

    def _list(self, *arguments: Any, **options: Any) -> list[Any]:
        self._turns.take(self._who)
        return super()._list(*arguments, **options)

    def delete(self, name: str) -> None:
        self._turns.take(self._who)
        super().delete(name)


def both(graph: EmulatorServer, bucket: Bucket, order: Sequence[bool]) -> list[BaseException]:
    """Runs two extractions concurrently, and returns what they raised."""
    turns, errors = Turns(order), []

    def one(who: bool) -> None:
        try:
            extract(graph, InTurns(bucket, turns, who), **ARGUMENTS)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)
        finally:
            turns.leave(who)

    threads = [threading.Thread(target=one, args=(who,)) for who in (False, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    return errors


def check(graph: EmulatorServer, bucket: Bucket, folder: Path) -> None:
    """The files of the manifest, if there is one, are as it says and contain everything to be extracted."""
    if MANIFEST_NAME not in names(bucket):
        return
    found = copied(bucket, folder)
    storage = GCSStorage(bucket, FOLDER)
    for file in Manifest.from_bytes(storage.read(MANIFEST_NAME)).files:
        with storage.open(file.path) as stream:
            assert file.bytes == len(stream.read())
        assert storage.stat(file.path) == (file.bytes, file.sha256)
    assert sorted(graph.ground_truth("100").message_ids) == sorted(found.message_ids)


@settings(max_examples=40 if IS_THOROUGH else 6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.booleans(), max_size=120), st.sampled_from(["nothing", "checkpoint", "manifest"]))
def test_concurrent_runs_never_publish_a_manifest_with_missing_files(
    graph: EmulatorServer,
    storage_server: StorageServer,
    tmp_path_factory: pytest.TempPathFactory,
    fresh_bucket: Callable[[], Bucket],
    order: list[bool],
    before: str,
) -> None:
    bucket = fresh_bucket()
    if before == "checkpoint":
        graph.add_fault(Fault("80006", after_calls=7, times=1, regain_minutes=1))
        with pytest.raises(RateLimitError):
            extract(graph, GCSStorage(bucket, FOLDER), **ARGUMENTS)
        graph.clear_faults()
    elif before == "manifest":
        extract(graph, GCSStorage(bucket, FOLDER), **ARGUMENTS)
    errors = both(graph, bucket, order)
    assert [error for error in errors if not isinstance(error, StorageError)] == []
    folder = tmp_path_factory.mktemp("copy")
    check(graph, bucket, folder / "after both")
    # Whoever lost, what they leave behind never affects the next run.
    extract(graph, GCSStorage(bucket, FOLDER), **ARGUMENTS)
    check(graph, bucket, folder / "after the next")
    assert finished(written(folder / "after the next")) == names(bucket)


def test_of_two_alternating_runs_one_succeeds_and_the_other_fails(graph, bucket, tmp_path):
    errors = both(graph, bucket, [False, True] * 100)
    assert [isinstance(error, StorageError) for error in errors] == [True]
    with pytest.raises(StorageError, match=WRITER_CONFLICT):
        raise errors[0]
    check(graph, bucket, tmp_path / "copy")
    assert MANIFEST_NAME in names(bucket)


@pytest.mark.parametrize("steps", [3, 10, 20, 40])
def test_a_run_presumed_dead_fails_and_its_replacement_finishes(graph, bucket, tmp_path, steps):
    """As when Airflow loses track of a task and starts another attempt while the first still runs."""
    errors = both(graph, bucket, [False] * steps + [True] * 8 + [False, True] * 100)
    assert [isinstance(error, StorageError) for error in errors] == [True]
    check(graph, bucket, tmp_path / "copy")
    assert MANIFEST_NAME in names(bucket)
