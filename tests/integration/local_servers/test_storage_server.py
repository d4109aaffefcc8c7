"""What the other tests rely on in the storage server, checked with Google's own client."""

from __future__ import annotations

import base64
import gzip
import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage

from local_servers.pinned_environment import REPOSITORY
from local_servers.servers import StorageServer

from .conftest import storage_client

CHUNK = 256 * 1024
RESUMABLE = 3 * CHUNK + 17


def upload_in_chunks(blob: storage.Blob, content: bytes, **conditions: int) -> None:
    """The client uploads in chunks if the content is larger than 8 MB or of unknown size."""
    blob.chunk_size = CHUNK
    size = len(content) if len(content) < CHUNK else None
    blob.upload_from_file(io.BytesIO(content), size=size, **conditions)


@pytest.mark.parametrize("size", [11, RESUMABLE])
def test_generation_zero_forbids_overwriting(bucket: storage.Bucket, size: int) -> None:
    upload_in_chunks(bucket.blob("a/b"), b"x" * size, if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        upload_in_chunks(bucket.blob("a/b"), b"y" * size, if_generation_match=0)
    assert b"x" * size == bucket.blob("a/b").download_as_bytes()


@pytest.mark.parametrize("size", [11, RESUMABLE])
def test_an_upload_replaces_only_the_given_generation(bucket: storage.Bucket, size: int) -> None:
    first = bucket.blob("a")
    upload_in_chunks(first, b"1" * size)
    generation = first.generation
    upload_in_chunks(bucket.blob("a"), b"2" * size, if_generation_match=generation)
    with pytest.raises(exceptions.PreconditionFailed):
        upload_in_chunks(bucket.blob("a"), b"3" * size, if_generation_match=generation)
    assert b"2" * size == bucket.blob("a").download_as_bytes()


def test_a_resumable_upload_fails_if_another_finished_first(
    google_storage: StorageServer, bucket: storage.Bucket
) -> None:
    session = bucket.blob("a").create_resumable_upload_session(size=1, if_generation_match=0)
    bucket.blob("a").upload_from_string("winner", if_generation_match=0)
    response = requests.put(session, data=b"l", headers={"Content-Range": "bytes 0-0/1"}, timeout=10)
    assert response.status_code == 412
    assert bucket.blob("a").download_as_bytes() == b"winner"


def test_delete_patch_and_copy_require_the_current_generation(bucket: storage.Bucket) -> None:
    source, old = bucket.blob("source"), bucket.blob("a")
    source.upload_from_string("source")
    old.upload_from_string("1")
    wrong = old.generation
    bucket.blob("a").upload_from_string("2")
    current = bucket.get_blob("a")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").delete(if_generation_match=wrong)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.copy_blob(source, bucket, "a", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.copy_blob(source, bucket, "new", if_source_generation_match=wrong)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").rewrite(source, if_generation_match=wrong)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").compose([source], if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("new").compose([source], if_source_generation_match=[wrong])
    current.metadata = {"k": "v"}
    with pytest.raises(exceptions.PreconditionFailed):
        current.patch(if_metageneration_match=7)
    assert bucket.blob("a").download_as_bytes() == b"2"
    assert not bucket.blob("new").exists()
    bucket.blob("a").delete(if_generation_match=current.generation)
    assert not bucket.blob("a").exists()
    with pytest.raises(exceptions.NotFound):
        bucket.blob("a").delete(if_generation_match=current.generation)


def test_an_overwritten_generation_is_gone(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string("1")
    old = blob.generation
    bucket.blob("a").upload_from_string("2")
    with pytest.raises(exceptions.NotFound):
        bucket.blob("a", generation=old).download_as_bytes()
    assert bucket.get_blob("a", generation=old) is None
    assert bucket.get_blob("a").metageneration == 1


def test_checksums_are_reported_and_verified(bucket: storage.Bucket) -> None:
    content = os.urandom(100_000) + b"\r\n--x\r\n\x85\r"
    blob = bucket.blob("a")
    blob.upload_from_string(content)
    assert base64.b64encode(google_crc32c.Checksum(content).digest()).decode() == blob.crc32c
    assert len(content) == blob.size
    assert content == bucket.blob("a").download_as_bytes()
    damaged = bucket.blob("b")
    damaged.md5_hash = "AAAA"
    with pytest.raises(exceptions.BadRequest):
        damaged.upload_from_string(content)
    assert not bucket.blob("b").exists()


def test_custom_metadata_and_types_are_kept(bucket: storage.Bucket) -> None:
    for name, size in (("small", 5), ("large", RESUMABLE)):
        blob = bucket.blob(name)
        blob.metadata = {"run": "run 1 ü"}
        blob.cache_control = "no-store"
        blob.content_type = "application/x-ndjson"
        upload_in_chunks(blob, b"x" * size)
        bucket.copy_blob(blob, bucket, f"{name}-copy")
        for each in (name, f"{name}-copy"):
            kept = bucket.get_blob(each)
            assert kept.metadata == {"run": "run 1 ü"}
            assert kept.cache_control == "no-store"
            assert kept.content_type == "application/x-ndjson"
    kept.metadata = {"run": "2"}
    kept.patch()
    assert (bucket.get_blob("large-copy").metadata, bucket.get_blob("large-copy").metageneration) == ({"run": "2"}, 2)


def test_gzip_is_decoded_for_clients_that_do_not_accept_it(
    google_storage: StorageServer, bucket: storage.Bucket
) -> None:
    blob = bucket.blob("a")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(b"text"))
    assert bucket.blob("a").download_as_bytes() == b"text"
    assert gzip.decompress(bucket.blob("a").download_as_bytes(raw_download=True)) == b"text"
    plain = requests.get(f"{google_storage.url}/{bucket.name}/a", headers={"Accept-Encoding": "identity"}, timeout=10)
    assert (plain.content, plain.headers.get("Content-Encoding")) == (b"text", None)


def test_listings_are_paged(google_storage: StorageServer, bucket: storage.Bucket) -> None:
    names = [f"p/{number:02}/{kind}" for number in range(9) for kind in ("a.gz", "b.json")] + ["p/z", "q"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: bucket.blob(name).upload_from_string(name), names))
    google_storage.forget_requests()
    assert names == [blob.name for blob in bucket.list_blobs(page_size=7)]
    assert len(google_storage.requests) == 3
    assert [f"p/{number:02}/a.gz" for number in range(9)] == [
        blob.name for blob in bucket.list_blobs(match_glob="p/*/*.gz", page_size=2)
    ]
    listing = bucket.list_blobs(prefix="p/", delimiter="/", page_size=4)
    assert [blob.name for blob in listing] == ["p/z"]
    assert {f"p/{number:02}/" for number in range(9)} == listing.prefixes
    assert [blob.name for blob in bucket.list_blobs(start_offset="p/08/b", end_offset="q")] == ["p/08/b.json", "p/z"]
    first = next(bucket.list_blobs(page_size=7, max_results=None).pages)
    assert first.num_items == 7


def test_listing_a_missing_bucket_is_an_error(google_storage: StorageServer, bucket: storage.Bucket) -> None:
    assert list(bucket.list_blobs(prefix="nothing")) == []
    with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
        list(storage_client(google_storage).list_blobs("no-such-bucket"))


@pytest.mark.parametrize("size", [11, RESUMABLE])
def test_a_missing_bucket_is_an_error_in_googles_format(google_storage: StorageServer, size: int) -> None:
    with pytest.raises(exceptions.NotFound):
        upload_in_chunks(storage_client(google_storage).bucket("no-such-bucket").blob("a"), b"x" * size)
    response = requests.get(f"{google_storage.url}/storage/v1/b/no-such-bucket/o/a", timeout=10)
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/json")
    error = response.json()["error"]
    assert (error["code"], error["errors"][0]["reason"]) == (404, "notFound")


def test_only_the_denied_bucket_returns_403(google_storage: StorageServer, bucket: storage.Bucket) -> None:
    other = storage_client(google_storage).create_bucket(f"{bucket.name}-other")
    google_storage.deny(bucket.name)
    with pytest.raises(exceptions.Forbidden, match=r"does not have storage\.objects\.create access"):
        bucket.blob("a").upload_from_string("x")
    with pytest.raises(exceptions.Forbidden):
        list(bucket.list_blobs())
    other.blob("a").upload_from_string("x")
    google_storage.clear_faults()
    assert list(bucket.list_blobs()) == []


def test_a_lost_upload_response_ends_in_412_with_the_object_stored(
    google_storage: StorageServer, bucket: storage.Bucket
) -> None:
    google_storage.fail("POST /upload/", status_after=503)
    blob = bucket.blob("a")
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_string("ours", if_generation_match=0)
    assert bucket.blob("a").download_as_bytes() == b"ours"
    assert [line.split(" ", 2)[2] for line in google_storage.requests[:2]] == ["200 lost", "412"]


@pytest.mark.parametrize("fault", [{"status_after": 503}, {"reset_after": True}, {"status": 503}, {"reset": True}])
@pytest.mark.parametrize("chunk", ["0-262143", "262144-524287", "786432-"])
def test_a_resumable_upload_survives_a_lost_chunk_or_response(
    google_storage: StorageServer, bucket: storage.Bucket, fault: dict[str, Any], chunk: str
) -> None:
    content = os.urandom(RESUMABLE)
    position = {"0-262143": 1, "262144-524287": 2, "786432-": 4}[chunk]
    # All requests of one session look alike: a fault without an effect lets those before the failing one pass.
    if position > 1:
        google_storage.fail("PUT .*upload_id", times=position - 1)
    google_storage.fail("PUT .*upload_id", **fault)
    upload_in_chunks(bucket.blob("a"), content, if_generation_match=0)
    assert content == bucket.blob("a").download_as_bytes()
    assert any(line.endswith(("lost", "injected")) for line in google_storage.requests)


def test_downloads_can_be_truncated_and_delayed(google_storage: StorageServer, bucket: storage.Bucket) -> None:
    content = os.urandom(300_000)
    bucket.blob("a").upload_from_string(content)
    google_storage.fail("GET .*alt=media", body_cut=1_000)
    google_storage.fail("GET .*alt=media", delay=0.3)
    started = time.monotonic()
    assert content == bucket.blob("a").download_as_bytes()
    assert time.monotonic() - started >= 0.3
    assert [line.split(" ", 2)[2] for line in google_storage.requests[-2:]] == ["200 cut", "200"]


def test_large_objects_pass_through_the_proxy(google_storage: StorageServer, bucket: storage.Bucket) -> None:
    content = os.urandom(64 << 20)
    blob = bucket.blob("large")
    blob.upload_from_string(content, if_generation_match=0)
    assert blob.media_link.startswith(google_storage.url)
    assert any(line.startswith("PUT ") for line in google_storage.requests)
    assert content == blob.download_as_bytes()
    direct = requests.get(f"{google_storage.direct_url}/storage/v1/b/{bucket.name}/o/large", timeout=10).json()
    assert direct["mediaLink"].startswith(google_storage.direct_url)


def test_a_composed_object_is_complete_and_has_no_md5(bucket: storage.Bucket) -> None:
    parts = [bucket.blob(f"part-{number}") for number in range(3)]
    for part in parts:
        part.upload_from_string(part.name)
    whole = bucket.blob("whole")
    whole.compose(parts, if_generation_match=0)
    assert whole.download_as_bytes() == b"part-0part-1part-2"
    assert (whole.md5_hash, whole.component_count) == (None, 3)
    with pytest.raises(exceptions.NotFound):
        bucket.blob("other").compose([bucket.blob("no-such-object")])


def test_batch_requests_are_rejected(bucket: storage.Bucket) -> None:
    bucket.blob("a").upload_from_string("1")
    with pytest.raises(exceptions.MethodNotImplemented), bucket.client.batch():
        bucket.delete_blob("a")
    assert bucket.blob("a").exists()


def test_objects_and_resumable_uploads_survive_a_kill(tmp_path: Path) -> None:
    with StorageServer(tmp_path) as server:
        bucket = storage_client(server).create_bucket("example-bucket")
        bucket.blob("finished").upload_from_string("kept")
        bucket.blob("deleted").upload_from_string("1")
        bucket.blob("deleted").delete()
        bucket.blob("finished").upload_from_string("kept 2")
        session = bucket.blob("a").create_resumable_upload_session(size=2 * CHUNK)
        headers = {"Content-Range": f"bytes 0-{CHUNK - 1}/{2 * CHUNK}"}
        assert requests.put(session, data=b"x" * CHUNK, headers=headers, timeout=10).status_code == 308
        address = server.url
        server.kill()
        with pytest.raises(requests.ConnectionError):
            requests.put(session, data=b"y" * CHUNK, headers=headers, timeout=10)
        server.restart()
        assert address == server.url
        assert [blob.name for blob in bucket.list_blobs()] == ["finished"]
        assert bucket.blob("finished").download_as_bytes() == b"kept 2"
        # As with the real service, the upload can continue.
        headers = {"Content-Range": f"bytes {CHUNK}-{2 * CHUNK - 1}/{2 * CHUNK}"}
        assert requests.put(session, data=b"y" * CHUNK, headers=headers, timeout=10).status_code == 200
        assert bucket.blob("a").download_as_bytes() == b"x" * CHUNK + b"y" * CHUNK


def test_a_server_in_memory_is_empty_after_a_restart() -> None:
    with StorageServer() as server:
        client = storage_client(server)
        session = client.create_bucket("example-bucket").blob("a").create_resumable_upload_session(size=1)
        server.kill()
        server.restart()
        assert client.lookup_bucket("example-bucket") is None
        response = requests.put(session, data=b"x", headers={"Content-Range": "bytes 0-0/1"}, timeout=10)
        assert response.status_code == 404


def test_many_small_objects_take_constant_time_each(google_storage: StorageServer, bucket: storage.Bucket) -> None:
    def upload(number: int) -> float:
        started = time.monotonic()
        requests.post(
            f"{google_storage.direct_url}/upload/storage/v1/b/{bucket.name}/o",
            params={"uploadType": "media", "name": f"{number}"},
            data=b"x",
            timeout=10,
        ).raise_for_status()
        return time.monotonic() - started

    times = [upload(number) for number in range(1_000)]
    assert sum(times[-200:]) < 4 * sum(times[:200])
    assert len(list(bucket.list_blobs(page_size=300))) == 1_000


def test_servers_stop_when_their_test_process_is_killed() -> None:
    script = (
        "import time\n"
        "from local_servers.servers import StorageServer\n"
        "with StorageServer() as server:\n"
        "    print(server.direct_url, server._temporary, flush=True)\n"
        "    time.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    address, temporary = starter.stdout.readline().split()
    requests.get(address, timeout=10)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    time.sleep(2)
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=10)
    assert not Path(temporary).exists()


def test_an_object_can_be_named_like_the_folder_of_another(tmp_path: Path) -> None:
    with StorageServer(tmp_path) as server:
        bucket = storage_client(server).create_bucket("example-bucket")
        for name in ("a", "a/b", "a//b", "a/../b", "ü ?#%+"):
            bucket.blob(name).upload_from_string(name)
        server.kill()
        server.restart()
        assert {blob.name for blob in bucket.list_blobs()} == {"a", "a/b", "a//b", "a/../b", "ü ?#%+"}
        for blob in bucket.list_blobs():
            assert blob.name.encode() == blob.download_as_bytes()


def test_an_injected_error_has_the_given_reason(google_storage: StorageServer, bucket: storage.Bucket) -> None:
    google_storage.fail("GET /storage/v1/b/", status=429, reason="rateLimitExceeded", message="slow down")
    response = requests.get(f"{google_storage.url}/storage/v1/b/{bucket.name}", timeout=10)
    assert response.status_code == 429
    first = {"message": "slow down", "domain": "global", "reason": "rateLimitExceeded"}
    assert response.json() == {"error": {"code": 429, "message": "slow down", "errors": [first]}}
