"""Rows are loaded only if they match the Page, platform and window of their manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.files import MANIFEST_NAME, LocalStorage, Manifest, PartsWriter
from airflow_provider_metaconv.load import LoadError, check_manifests, load_manifests
from airflow_provider_metaconv.load.verify import verify_manifests
from airflow_provider_metaconv.schema import EXTRACTION_WINDOWS, MESSAGES, Table
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse

SINCE, UNTIL = "2026-11-20T00:00:00+00:00", "2026-11-21T00:00:00+00:00"
KEY = {"platform": "MESSENGER", "page_id": "100"}
MESSAGE = KEY | {
    "conversation_id": "t_1",
    "message_id": "m_1",
    "created_time": "2026-11-20T12:00:00+00:00",
    "text": "x",
    "content_status": "available",
}
WINDOW = KEY | {"window_since": SINCE, "window_until": UNTIL}


def window(
    folder: Path, table: Table = MESSAGES, row: Mapping[str, Any] = MESSAGE, file_format: str = "ndjson", **values: Any
) -> str:
    """A window's folder with a valid row and ``row``; returns the manifest's address."""
    storage = LocalStorage(folder)
    good = MESSAGE | {"message_id": "m_0"} if table is MESSAGES else WINDOW
    with PartsWriter(storage, table, file_format) as writer:
        writer.write([good, dict(row)])
    manifest = Manifest("100", "MESSENGER", SINCE, UNTIL, writer.published)
    content = json.loads(manifest.to_bytes()) | values
    storage.publish_bytes(json.dumps(content).encode(), MANIFEST_NAME)
    return storage.uri(MANIFEST_NAME)


FOREIGN: dict[str, tuple[Table, Mapping[str, Any], str]] = {
    "page": (MESSAGES, MESSAGE | {"page_id": "999"}, "different Page or platform"),
    "platform": (MESSAGES, MESSAGE | {"platform": "INSTAGRAM"}, "different Page or platform"),
    "earlier": (
        MESSAGES,
        MESSAGE | {"created_time": "2026-11-19T23:59:59+00:00"},
        "from outside its manifest's window",
    ),
    "later": (MESSAGES, MESSAGE | {"created_time": UNTIL}, "from outside its manifest's window"),
    "no time": (MESSAGES, MESSAGE | {"created_time": None}, "from outside its manifest's window"),
    "escaped id": (MESSAGES, MESSAGE | {"conversation_id": 't"1', "page_id": "999"}, "different Page or platform"),
    "window": (EXTRACTION_WINDOWS, WINDOW | {"window_until": "2026-11-22T00:00:00+00:00"}, "different window"),
    "window of another Page": (EXTRACTION_WINDOWS, WINDOW | {"page_id": "999"}, "different Page or platform"),
}


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
@pytest.mark.parametrize("case", FOREIGN)
def test_a_row_that_does_not_match_its_manifest_is_rejected(tmp_path: Path, case: str, file_format: str) -> None:
    table, row, complaint = FOREIGN[case]
    uri = window(tmp_path / "w", table, row, file_format)
    with pytest.raises(LoadError, match=f"file .*/{table.name}-00000.* has .*{complaint}.*: run the extract task"):
        verify_manifests([uri], LocalStorage)


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
@pytest.mark.parametrize("row", [MESSAGE, MESSAGE | {"conversation_id": 'odd "id" \\', "created_time": SINCE}])
def test_rows_that_match_the_manifest_are_accepted(tmp_path: Path, row: Mapping[str, Any], file_format: str) -> None:
    assert len(verify_manifests([window(tmp_path / "w", row=row, file_format=file_format)], LocalStorage)) == 1


def test_messages_within_the_lookback_belong_to_the_window(tmp_path: Path) -> None:
    early = MESSAGE | {"created_time": "2026-11-19T23:00:00+00:00"}
    times = {"since": SINCE, "until": UNTIL, "reads_since": "2026-11-19T22:00:00+00:00"}
    assert len(verify_manifests([window(tmp_path / "w", row=early, window=times)], LocalStorage)) == 1


@pytest.mark.parametrize("use", [load_manifests, check_manifests])
def test_a_manifest_of_another_page_changes_nothing(tmp_path: Path, use: Any) -> None:
    uri = window(tmp_path / "w", page_id="999")
    with DuckDBWarehouse(tmp_path / "meta.duckdb") as warehouse, pytest.raises(LoadError, match="different Page"):
        use([uri], warehouse)


@pytest.mark.parametrize("use", [load_manifests, check_manifests])
def test_a_manifest_without_files_is_rejected(tmp_path: Path, use: Any) -> None:
    uri = window(tmp_path / "w", files=[])
    with DuckDBWarehouse(tmp_path / "meta.duckdb") as warehouse, pytest.raises(LoadError, match="lists no files"):
        use([uri], warehouse)


class PublishedAgain(LocalStorage):
    """A folder whose window is published again ``times`` times after its manifest was read."""

    times = 1

    def read(self, name: str, *bounds: int) -> bytes:
        data = super().read(name, *bounds)
        if name == MANIFEST_NAME and type(self).times:
            type(self).times -= 1
            for old in self.names():
                self.delete(old)
            number = 1 + len(list(self.folder.parent.iterdir()))
            (self.folder.parent / f"seen-{number}").mkdir()
            with PartsWriter(self, MESSAGES, first_number=number) as writer:
                writer.write([MESSAGE])
            manifest = Manifest("100", "MESSENGER", SINCE, UNTIL, writer.published)
            self.publish_bytes(manifest.to_bytes(), MANIFEST_NAME)
        return data


@pytest.mark.parametrize("times", [1, 2])
def test_a_window_republished_during_verification_is_read_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    uri = window(tmp_path / "w")
    monkeypatch.setattr(PublishedAgain, "times", times)
    if times == 1:
        (verified,) = verify_manifests([uri], PublishedAgain)
        assert [file.uri for file in verified.files] == [
            str(path) for path in (tmp_path / "w").iterdir() if path.name != MANIFEST_NAME
        ]
    else:
        with pytest.raises(
            LoadError, match=r"is missing: .* keeps being extracted again: load it once those runs have"
        ):
            verify_manifests([uri], PublishedAgain)


def publish_again(folder: Path) -> None:
    """Replace a window's files with others under new names."""
    for path in folder.iterdir():
        path.unlink()
    window(folder, row=MESSAGE | {"text": "newer"})
    (folder / "messages-00000.ndjson.gz").rename(folder / "messages-00001.ndjson.gz")
    manifest = folder / MANIFEST_NAME
    manifest.write_bytes(manifest.read_bytes().replace(b"messages-00000", b"messages-00001"))


def test_files_that_vanish_after_verification_are_located_again(tmp_path: Path) -> None:
    uri = window(tmp_path / "w")

    class RepublishedDuringLoad(DuckDBWarehouse):
        is_late = True

        def load(self, files: Any) -> Any:
            if self.is_late:
                self.is_late = False
                publish_again(tmp_path / "w")
            return super().load(files)

    with RepublishedDuringLoad(tmp_path / "meta.duckdb") as warehouse:
        assert load_manifests([uri], warehouse).tables["messages"].inserted == 2
