"""Manifests and files are verified in parallel: each is read once, and the outcome does not depend on the order."""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_metaconv.files import MANIFEST_NAME, LocalStorage, Manifest, ManifestFile
from airflow_provider_metaconv.files.storage.stored_file import MOST_BYTES_READ
from airflow_provider_metaconv.load import LoadError
from airflow_provider_metaconv.load.verify import AT_ONCE, verify_manifests

SECONDS = 20
"""How long a test waits for another thread before it fails."""


def write_window(folder: Path, parts: int = 1) -> str:
    storage, files = LocalStorage(folder), []
    for number in range(parts):
        name = f"messages-{number:05d}.ndjson.gz"
        row = {"platform": "MESSENGER", "page_id": "100", "created_time": "2026-11-20T00:00:00+00:00"}
        storage.publish_bytes(gzip.compress(json.dumps(row).encode()), name)
        size, sha256 = storage.stat(name)
        files.append(ManifestFile(name, "messages", 1, size, sha256))
    manifest = Manifest("100", "MESSENGER", None, "2026-11-21T00:00:00+00:00", tuple(files))
    storage.publish_bytes(manifest.to_bytes(), MANIFEST_NAME)
    return storage.uri(MANIFEST_NAME)


class ObservedStorage(LocalStorage):
    """A local folder that reports each file that is read."""

    def __init__(self, folder: str, on_read: Callable[[str], None], on_stat: Callable[[str], None]) -> None:
        super().__init__(folder)
        self.on_read, self.on_stat = on_read, on_stat

    def read(self, name: str, most_bytes: int = MOST_BYTES_READ) -> bytes:
        self.on_read(self.uri(name))
        return super().read(name, most_bytes)

    def stat(self, name: str, expected: int | None = None) -> tuple[int, str]:
        self.on_stat(self.uri(name))
        return super().stat(name, expected)


def ignore(uri: str) -> None:
    """Reports nothing."""


def test_each_manifest_and_each_file_is_read_once(tmp_path: Path) -> None:
    uris = [write_window(tmp_path / f"window={number}", parts=3) for number in range(20)]
    read: list[str] = []
    verified = verify_manifests([*uris, *uris], lambda folder: ObservedStorage(folder, read.append, read.append))
    assert [len(one.files) for one in verified] == [3] * 20
    assert set(Counter(read).values()) == {1}
    assert len(read) == 80


def test_results_keep_the_order_of_manifests_and_files(tmp_path: Path) -> None:
    uris = [write_window(tmp_path / f"window={number}", parts=1 + number % 3) for number in range(20)]
    verified = verify_manifests(uris, LocalStorage)
    expected = [
        [str(tmp_path / f"window={number}" / f"messages-{part:05d}.ndjson.gz") for part in range(1 + number % 3)]
        for number in range(20)
    ]
    assert [[file.uri for file in one.files] for one in verified] == expected


@pytest.mark.parametrize("kind", ["manifests", "files"])
def test_parallel_reads_are_bounded(tmp_path: Path, kind: str) -> None:
    uris = [write_window(tmp_path / f"window={number}") for number in range(3 * AT_ONCE)]
    together, running, most, lock = threading.Barrier(AT_ONCE), Counter[str](), [0], threading.Lock()

    def meet(uri: str) -> None:
        with lock:
            running["now"] += 1
            most[0] = max(most[0], running["now"])
        together.wait(SECONDS)
        with lock:
            running["now"] -= 1

    on_read, on_stat = (meet, ignore) if kind == "manifests" else (ignore, meet)
    verify_manifests(uris, lambda folder: ObservedStorage(folder, on_read, on_stat))
    assert most == [AT_ONCE]


def test_the_first_error_in_order_is_raised_even_if_it_occurs_last(tmp_path: Path) -> None:
    uris = [write_window(tmp_path / name) for name in ("good", "first", "second")]
    second_is_done = threading.Event()
    for name in ("first", "second"):
        (tmp_path / name / "messages-00000.ndjson.gz").unlink()

    def in_reverse(uri: str) -> None:
        if "/first/" in uri:
            assert second_is_done.wait(SECONDS)
        if "/second/" in uri:
            second_is_done.set()

    with pytest.raises(LoadError, match=r"file .*/first/messages-00000.ndjson.gz is missing"):
        verify_manifests(uris, lambda folder: ObservedStorage(folder, ignore, in_reverse))
