"""A folder in a bucket as storage, on a local Google Cloud Storage server."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import re
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud.storage.retry import DEFAULT_RETRY

from airflow_provider_metaconv.files import PartsWriter, StorageError
from airflow_provider_metaconv.files.coverage import Span
from airflow_provider_metaconv.files.coverage_record import claim_window, read_coverage, record_window
from airflow_provider_metaconv.files.manifest import Manifest, window_id
from airflow_provider_metaconv.files.reading import read_part
from airflow_provider_metaconv.files.storage.gcs import GCSStorage, parse_gs_uri
from airflow_provider_metaconv.files.storage.gcs_upload import Checksums, upload
from airflow_provider_metaconv.schema import MESSAGES
from tests.integration.files.conftest import connect
from tests.integration.files.storage_contract import StorageContract

pytestmark = pytest.mark.usefixtures("local_files")
MEBIBYTE = 1024 * 1024


def row(number, text):
    return {"platform": "MESSENGER", "page_id": "1", "message_id": f"m_{number}", "text": text}


def large(size=20 * MEBIBYTE):
    return random.Random(size).randbytes(size)


def publish(storage, data, name="part"):
    temporary = storage.temporary()
    temporary.write_bytes(data)
    storage.publish(temporary, name)


def kinds(server):
    """The requests without their addresses: the method and what distinguishes one kind from another."""
    marks = r"uploadType=multipart|upload_id|uploadType=resumable|alt=media"
    found = [(line.split()[0], re.findall(marks, line)) for line in server.requests]
    return [" ".join([method, *sorted(set(seen), reverse=True)][:2]) for method, seen in found]


class TestGCSStorage(StorageContract):
    @pytest.fixture(params=["", "team/raw/"])
    def open_folder(self, request, bucket):
        return lambda folder: GCSStorage(bucket, request.param + folder)


def test_top_level_folders_are_siblings(bucket):
    for folder in ("a", "b", "c/d"):
        GCSStorage(bucket, folder).publish_bytes(folder.encode(), "sought")
    assert [folder.read("sought") for folder in GCSStorage(bucket, "a").siblings("sought")] == [b"b"]


@pytest.mark.parametrize(
    ("uri", "expected"), [("gs://b/a/b", ("b", "a/b")), ("gs://b", ("b", "")), ("gs://b/", ("b", ""))]
)
def test_a_uri_has_a_bucket_and_a_path(uri, expected):
    assert parse_gs_uri(uri) == expected


@pytest.mark.parametrize("uri", ["", "gs://", "gs:///a", "s3://b/a", "/a/b", "gs:/b"])
def test_an_invalid_bucket_uri_is_reported(uri):
    with pytest.raises(StorageError, match="the URI must have the form gs://bucket/folder"):
        parse_gs_uri(uri)


@pytest.mark.parametrize("folder", ["a/b", "/a/b", "a//b/", "//a///b//"])
def test_extra_slashes_do_not_change_the_folder(bucket, folder):
    assert GCSStorage(bucket, folder).uri("part") == f"gs://{bucket.name}/a/b/part"


def test_the_bucket_itself_can_be_the_folder(bucket):
    storage = GCSStorage(bucket, "")
    storage.publish_bytes(b"x", "part")
    bucket.blob("below/part").upload_from_string(b"")
    assert (f"gs://{bucket.name}/part", ["part"], []) == (
        storage.uri("part"),
        storage.names(),
        storage.siblings("part"),
    )


@pytest.mark.parametrize("level", ["*", "a?", "[a]", "{a}", "a\\b", "a\nb", "\x7f", "..", ".", "\ud800"])
@pytest.mark.parametrize("form", ["{}", "{}/b", "b/{}", "b/{}/c"])
def test_a_folder_that_cannot_be_listed_is_rejected(bucket, level, form):
    with pytest.raises(StorageError, match="a folder in a bucket must not contain") as caught:
        GCSStorage(bucket, form.replace("{}", level))
    assert len(str(caught.value).splitlines()) == 1


def test_objects_of_other_tools_are_not_listed(bucket):
    for name in ("a/b/", "a/b/.hidden", "a/b/c/part", "a/bc"):
        bucket.blob(name).upload_from_string(b"")
    assert GCSStorage(bucket, "a/b").names() == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("_manifest.json", "application/json"),
        ("_checkpoint-00001-x.ndjson", "application/x-ndjson"),
        ("messages-00000.ndjson.gz", "application/gzip"),
        ("messages-00000.parquet", "application/vnd.apache.parquet"),
        ("else", "application/octet-stream"),
    ],
)
def test_content_type_is_set_without_content_encoding(bucket, name, expected):
    compressed = gzip.compress(b"x")
    GCSStorage(bucket, "a").publish_bytes(compressed, name)
    blob = bucket.get_blob(f"a/{name}")
    assert (expected, None) == (blob.content_type, blob.content_encoding)
    assert compressed == blob.download_as_bytes()


@pytest.mark.parametrize("size", [0, 1, 8 * MEBIBYTE, 8 * MEBIBYTE + 1, 24 * MEBIBYTE])
def test_published_bytes_equal_those_written(bucket, local_files, size):
    storage, data = GCSStorage(bucket, "a"), large(size)
    publish(storage, data)
    blob = bucket.get_blob("a/part")
    assert (size, {"sha256": hashlib.sha256(data).hexdigest()}) == (blob.size, blob.metadata)
    assert data == storage.read("part") == bucket.blob("a/part").download_as_bytes()
    assert local_files() == []


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_parts_are_read_back_unchanged(bucket, local_files, file_format):
    storage = GCSStorage(bucket, "a")
    rows = [row(number, random.Random(number).randbytes(50_000).hex()) for number in range(300)]
    with PartsWriter(storage, MESSAGES, file_format, rows_per_part=200) as writer:
        writer.write(rows)
    assert [file.bytes > 8 * MEBIBYTE for file in writer.published] == [True, False]
    found = [read["text"] for file in writer.published for read in read_part(storage, file)]
    assert [each["text"] for each in rows] == found
    assert [(file.bytes, file.sha256) for file in writer.published] == [
        storage.stat(file.path) for file in writer.published
    ]
    assert local_files() == []


def test_the_number_of_requests_depends_on_chunks_not_rows(bucket, server):
    storage = GCSStorage(bucket, "a")
    with storage.lock(), PartsWriter(storage, MESSAGES) as writer:
        server.forget_requests()
        writer.write(row(number, "x") for number in range(20_000))
        assert server.requests == []
        writer.roll()
        assert kinds(server) == ["POST uploadType=multipart"]
        server.forget_requests()
        publish(storage, large(20 * MEBIBYTE), "large")
        assert kinds(server) == ["POST uploadType=resumable", *["PUT upload_id"] * 2]


def test_read_open_and_stat_take_one_request_each(bucket, server):
    storage = GCSStorage(bucket, "a")
    storage.publish_bytes(large(3 * MEBIBYTE), "part")
    server.forget_requests()
    storage.read("part")
    storage.open("part").close()
    storage.stat("part")
    assert kinds(server) == ["GET alt=media", "GET alt=media", "GET"]


def test_versioned_reads_and_writes_take_one_request_each(bucket, server):
    storage = GCSStorage(bucket, "a")
    storage.replace_if_unchanged(b"first", "part", version=None)
    found = storage.read_versioned("part")
    assert found is not None
    storage.replace_if_unchanged(b"second", "part", version=found[1])
    assert kinds(server) == ["POST uploadType=multipart", "GET alt=media", "POST uploadType=multipart"]


@pytest.mark.parametrize("folder", ["a", ""])
def test_the_bucket_is_the_top_folder(bucket, folder):
    assert GCSStorage(bucket, folder).parent().uri("part") == f"gs://{bucket.name}/part"


def test_a_run_reads_and_writes_its_coverage_once(bucket, server):
    page = GCSStorage(bucket, "p")
    for number in range(20):
        write_manifest(bucket, day(number + 1))
    record_window(page, day(20), day(21), complete=True)
    server.forget_requests()
    since, known = claim_window(page, day(21), day(22))
    record_window(page, since, day(22), complete=True, known=known)
    assert since == day(21)
    assert kinds(server) == ["GET alt=media", "POST uploadType=multipart"]


def test_rebuilding_coverage_takes_one_list_and_one_read_per_manifest(bucket, server):
    for number in range(20):
        write_manifest(bucket, day(number + 1))
    bucket.blob("p/window=begin_20261231T000000Z/messages-00000.parquet").upload_from_string(b"")
    server.forget_requests()
    coverage = read_coverage(GCSStorage(bucket, "p")).coverage
    assert coverage.complete == (Span(day(1), day(21)),)
    reads, lists = ([line for line in server.requests if mark in line] for mark in ("_manifest.json?alt", "matchGlob"))
    assert (len(reads), len(lists)) == (20, 1)


def day(number):
    return datetime(2026, 11, number, tzinfo=UTC)


def write_manifest(bucket, since):
    until = since + timedelta(days=1)
    manifest = Manifest("p", "MESSENGER", since.isoformat(), until.isoformat(), ())
    bucket.blob(f"p/window={window_id(since, until)}/_manifest.json").upload_from_string(manifest.to_bytes())


def test_long_listings_are_read_to_the_end(bucket, server):
    for number in range(1_005):
        bucket.blob(f"a/{number:04d}").upload_from_string(b"")
    server.forget_requests()
    assert [f"{number:04d}" for number in range(1_005)] == GCSStorage(bucket, "a").names()
    assert len(server.requests) == 2


def test_stat_of_a_foreign_object_is_computed_from_its_bytes(bucket):
    bucket.blob("a/part").upload_from_string(b"copied")
    assert GCSStorage(bucket, "a").stat("part") == (6, hashlib.sha256(b"copied").hexdigest())


def test_memory_does_not_grow_with_file_size(bucket, server):
    # Past the proxy, which runs in this process and would be counted.
    storage = GCSStorage(connect(server, server.direct_url).bucket(bucket.name), "a")
    temporary = storage.temporary()
    with temporary.open("wb") as file:
        for _ in range(96):
            file.write(os.urandom(MEBIBYTE))
    tracemalloc.start()
    storage.publish(temporary, "part")
    uploaded = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    storage.open("part").close()
    downloaded = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (uploaded < 40 * MEBIBYTE, downloaded < 8 * MEBIBYTE) == (True, True)


def test_temporary_files_are_private(bucket):
    temporary = GCSStorage(bucket, "a").temporary()
    assert stat.S_IMODE(temporary.parent.stat().st_mode) == 0o700
    temporary.parent.chmod(0o777)
    with pytest.raises(StorageError, match="belongs to another user: remove it"):
        GCSStorage(bucket, "a").temporary()


def test_the_next_attempt_removes_temporaries_of_a_killed_one(bucket, local_files):
    GCSStorage(bucket, "a").temporary().write_bytes(b"half")
    other = GCSStorage(bucket, "b").temporary()
    other.write_bytes(b"another window's")
    GCSStorage(bucket, "a").remove_temporaries()
    assert local_files() == [other]


def test_a_missing_temporary_file_is_reported(bucket):
    storage = GCSStorage(bucket, "a")
    with pytest.raises(
        StorageError, match=r"cannot publish gs://.*/a/part: .* was removed \(another task extracts the same"
    ):
        storage.publish(storage.temporary(), "part")


def test_an_unusable_folder_for_temporary_files_is_reported(bucket, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    with pytest.raises(StorageError, match="cannot create the folder /proc/none/"):
        GCSStorage(bucket, "a").check_writable()
    GCSStorage(bucket, "a").publish_bytes(b"x", "part")
    with pytest.raises(StorageError, match="cannot create a file in /proc/none: the folder does not exist"):
        GCSStorage(bucket, "a").open("part")


def test_importing_the_package_does_not_import_google():
    code = "import sys, airflow_provider_metaconv.files; print('google.api_core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("size", [1_000, 9 * MEBIBYTE])
def test_bytes_changed_in_transit_are_not_stored(bucket, size):
    class Changing(io.BytesIO):
        def seek(self, *position):
            self.getbuffer()[0] = 0
            return super().seek(*position)

    content = Changing(large(size))
    with pytest.raises(BadRequest):
        upload(bucket, "a/part", content, Checksums.of(content), 0, DEFAULT_RETRY)
    assert GCSStorage(bucket, "a").names() == []
