"""Whatever fails between a worker and a bucket: a file is stored completely and once, or one line gives advice."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
import requests
from google.api_core.exceptions import BadRequest, RetryError, ServiceUnavailable, TooManyRequests, Unauthorized
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

from airflow_provider_metaconv.files import MANIFEST_NAME, NotPublishedError, PartsWriter, StorageError
from airflow_provider_metaconv.files.errors import StorageRefusedError
from airflow_provider_metaconv.files.storage.gcs import GCSStorage
from airflow_provider_metaconv.files.storage.gcs_errors import gcs_error
from airflow_provider_metaconv.schema import MESSAGES
from local_servers.servers import StorageServer
from tests.integration.files.conftest import connect

MEBIBYTE = 1024 * 1024
SMALL, LARGE = 1_000, 20 * MEBIBYTE
TRY_AGAIN = "try again later; a retry continues from the checkpoint"


@pytest.fixture
def storage(bucket, local_files):
    return GCSStorage(bucket, "a", retry_seconds=20)


def publish(storage, size, name="part", seed=0):
    data = random.Random(seed).randbytes(size)
    temporary = storage.temporary()
    temporary.write_bytes(data)
    storage.publish(temporary, name)
    return data


# Transient faults

TRANSIENT: dict[str, dict[str, Any]] = {
    "unavailable": {"status": 503},
    "too many": {"status": 429, "reason": "rateLimitExceeded"},
    "reset": {"reset": True},
    "response lost": {"status_after": 503},
    "response reset": {"reset_after": True},
}


@pytest.mark.parametrize("fault", TRANSIENT)
@pytest.mark.parametrize(("size", "match"), [(SMALL, "POST .*multipart"), (LARGE, "PUT .*upload_id"), (LARGE, "POST ")])
def test_a_transient_fault_leaves_one_complete_file(storage, bucket, server, local_files, fault, size, match):
    server.fail(match, times=1, **TRANSIENT[fault])
    with storage.lock():
        storage.remove_temporaries()
        data = publish(storage, size)
        assert data == storage.read("part")
        # The next write builds on the generation that the lost response would have contained.
        assert publish(storage, SMALL, seed=1) == storage.read("part")
    assert ([blob.name for blob in bucket.list_blobs()], local_files()) == (["a/part"], [])


@pytest.mark.parametrize("fault", TRANSIENT)
@pytest.mark.parametrize("match", ["GET ", "POST "])
def test_a_transient_fault_does_not_affect_versioned_replacement(storage, server, fault, match):
    first = storage.replace_if_unchanged(b"first", "part", version=None)
    server.fail(match, times=1, **TRANSIENT[fault])
    assert storage.read_versioned("part") == (b"first", first)
    # After a lost response, our own replacement must not look like another task's.
    second = storage.replace_if_unchanged(b"second", "part", version=first)
    assert storage.read_versioned("part") == (b"second", second)


@pytest.mark.parametrize("fault", TRANSIENT)
@pytest.mark.parametrize("match", ["GET ", "DELETE "])
def test_a_transient_fault_does_not_affect_reads_lists_and_deletes(storage, server, fault, match):
    storage.publish_bytes(b"one", "one")
    storage.publish_bytes(b"two", "two")
    with storage.lock():
        server.fail(match, times=1, **TRANSIENT[fault])
        storage.delete("one")
        server.clear_faults()
        server.fail(match, times=1, **TRANSIENT[fault])
        assert (storage.names(), storage.read("two"), storage.stat("two")[0]) == (["two"], b"two", 3)


def test_repeated_refusals_are_waited_out(storage, server):
    server.fail("POST ", times=3, status=503)
    assert publish(storage, SMALL) == storage.read("part")


def test_an_interrupted_download_is_completed(storage, server):
    data = publish(storage, 5 * MEBIBYTE)
    server.fail("GET .*alt=media", body_cut=2 * MEBIBYTE)
    assert data == storage.read("part")


@pytest.mark.parametrize("code", [400, 404, 410])
def test_a_lost_upload_session_is_restarted(storage, server, code):
    server.fail("PUT .*upload_id", times=1, status=code)
    assert publish(storage, LARGE) == storage.read("part")
    assert sum(line.startswith("POST") for line in server.requests) == 2


def test_repeatedly_lost_upload_sessions_are_an_error(storage, server, local_files):
    server.fail("PUT .*upload_id", times=None, status=410)
    with pytest.raises(
        StorageError, match=r"cannot write gs://.*/a/messages-00000\.parquet: Google responded with 410, back"
    ):
        write_large_part(storage)
    assert sum(line.startswith("POST") for line in server.requests) == 3
    assert (storage.names(), local_files()) == ([], [])


def write_large_part(storage):
    with PartsWriter(storage, MESSAGES, "parquet") as writer:
        for number in range(100):
            text = random.Random(number).randbytes(100_000).hex()
            row = {"platform": "MESSENGER", "page_id": "1", "message_id": f"m_{number}", "text": text}
            writer.write([row])


@pytest.mark.parametrize("keeps_its_disk", [True, False])
def test_an_upload_survives_a_restart_of_the_server(tmp_path, local_files, keeps_its_disk):
    with StorageServer(tmp_path / "disk" if keeps_its_disk else None) as server:
        bucket = connect(server).create_bucket("bucket")
        storage = GCSStorage(bucket, "a", retry_seconds=30)
        with storage.lock():
            # The second chunk is delayed long enough for the server to be killed during it.
            server.fail("PUT .*upload_id.*", times=1, delay=0.01)
            server.fail("PUT .*upload_id.*", times=1, delay=1.0)
            restart = threading.Timer(0.5, kill_and_restart, (server, keeps_its_disk))
            restart.start()
            data = publish(storage, LARGE)
            restart.join()
            assert (["part"], data) == (storage.names(), storage.read("part"))
    assert local_files() == []


def kill_and_restart(server, keeps_its_disk):
    server.kill()
    server.restart()
    if not keeps_its_disk:
        connect(server).create_bucket("bucket")


# Permanent faults


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_foreign_object_of_the_same_name_is_kept_and_reported(storage, bucket, local_files, size):
    with storage.lock():
        bucket.blob("a/part").upload_from_string(b"foreign")
        with pytest.raises(StorageError, match=r"^another task is writing to gs://[^/]*/a: let it finish"):
            publish(storage, size)
    assert storage.read("part") == b"foreign"


def test_a_part_number_taken_by_another_task_is_skipped(storage, bucket):
    with storage.lock(), PartsWriter(storage, MESSAGES, rows_per_part=1) as writer:
        for number in (0, 1, 3):
            bucket.blob(f"a/messages-{number:05d}.ndjson.gz").upload_from_string(b"foreign")
        writer.write({"platform": "MESSENGER", "page_id": "1", "message_id": f"m_{number}"} for number in range(2))
    assert [f"messages-{number:05d}.ndjson.gz" for number in (2, 4)] == [file.path for file in writer.published]
    assert [(file.bytes, file.sha256) for file in writer.published] == [storage.stat(f.path) for f in writer.published]
    assert [storage.read(f"messages-{number:05d}.ndjson.gz") for number in (0, 1, 3)] == [b"foreign"] * 3


def test_too_many_taken_part_numbers_are_an_error(storage, bucket, local_files):
    with storage.lock():
        for number in range(30):
            bucket.blob(f"a/messages-{number:05d}.ndjson.gz").upload_from_string(b"foreign")
        with pytest.raises(StorageError, match="another task is writing"), PartsWriter(storage, MESSAGES) as writer:
            writer.write([{"platform": "MESSENGER", "page_id": "1", "message_id": "m"}])
    assert local_files() == []


def test_files_written_by_another_task_are_not_deleted(storage, bucket):
    storage.publish_bytes(b"", "known")
    with storage.lock():
        bucket.blob("a/known").upload_from_string(b"foreign")
        bucket.blob("a/unknown").upload_from_string(b"foreign")
        for name in ("known", "unknown"):
            storage.delete(name)
    assert storage.names() == ["known", "unknown"]


def test_identical_bytes_of_another_task_are_no_conflict(storage, bucket):
    with storage.lock():
        bucket.blob("a/part").upload_from_string(b"same")
        storage.publish_bytes(b"same", "part")
        storage.publish_bytes(b"next", "part")
    assert storage.read("part") == b"next"


ACTIONS = {
    "check_writable": ("write to", lambda storage: storage.check_writable()),
    "lock": ("list", lambda storage: storage.lock().__enter__()),
    "publish_bytes": ("write", lambda storage: storage.publish_bytes(b"x", "part")),
    "publish": ("write", lambda storage: publish(storage, LARGE)),
    "read": ("read", lambda storage: storage.read("part")),
    "open": ("read", lambda storage: storage.open("part")),
    "stat": ("read", lambda storage: storage.stat("part")),
    "names": ("list", lambda storage: storage.names()),
    "read_versioned": ("read", lambda storage: storage.read_versioned("part")),
    "replace_if_unchanged": ("write", lambda storage: storage.replace_if_unchanged(b"x", "part", version=None)),
    "children": ("list", lambda storage: storage.children(MANIFEST_NAME)),
    "siblings": ("list", lambda storage: storage.siblings(MANIFEST_NAME)),
}
RESPONSES = [
    (
        {
            "status": 403,
            "reason": "forbidden",
            "message": "sa@x.iam does not have storage.objects.create access to the x",
        },
        r"the permission storage\.objects\.create is missing \(grant the service account the role Storage Object User",
    ),
    (
        {"status": 403, "reason": "forbidden"},
        r"Google responded with 403, forbidden \(does the service account have the role",
    ),
    ({"status": 403, "reason": "retentionPolicyNotMet"}, "a retention policy or a hold forbids it"),
    ({"status": 403, "reason": "objectUnderActiveHold"}, "a retention policy or a hold forbids it"),
    ({"status": 401, "reason": "required"}, "Google rejects the credentials"),
    ({"status": 503}, "Google still responds with 503 after many attempts"),
    ({"status": 403, "reason": "rateLimitExceeded"}, "Google still responds with 403 after many attempts"),
    ({"status": 429, "reason": "rateLimitExceeded"}, "Google still responds with 429 after many attempts"),
    ({"status": 409, "reason": "conflict"}, "Google responded with 409, conflict$"),
    ({"reset": True}, "Google Cloud Storage cannot be reached"),
]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(("fault", "expected"), RESPONSES)
def test_every_permanent_fault_is_reported_in_one_line_with_advice(
    bucket, server, local_files, action, fault, expected
):
    verb, act = ACTIONS[action]
    storage = GCSStorage(bucket, "a/b", retry_seconds=0.3)
    server.fail("", times=None, **fault)
    with pytest.raises(StorageError, match=rf"^cannot (read|{verb}) gs://{bucket.name}/a[^:]*: .*{expected}") as caught:
        act(storage)
    assert len(str(caught.value).splitlines()) == 1
    # Google's own errors quote URLs that let anyone write: they must not be logged.
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_missing_bucket_is_reported(server, local_files, action):
    with pytest.raises(StorageError, match=r"bucket none does not exist \(create it, or change bucket=") as caught:
        ACTIONS[action][1](GCSStorage(connect(server).bucket("none"), "a"))
    assert not isinstance(caught.value, NotPublishedError)


def test_a_permanently_lost_upload_is_not_a_missing_bucket(storage, server, local_files):
    server.fail("^PUT ", times=None, status=404, message="No such upload session")
    with pytest.raises(StorageError, match="Google responded with 404") as caught:
        publish(storage, LARGE)
    assert not isinstance(caught.value, StorageRefusedError)


def test_the_permission_to_delete_is_checked_before_a_run(storage, server):
    server.fail("DELETE ", status=403, message="sa@x does not have storage.objects.delete access to the object.")
    with pytest.raises(StorageError, match=r"permission storage\.objects\.delete is missing"):
        storage.check_writable()


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (RefreshError("revoked"), True),
        (RefreshError("busy", retryable=True), False),
        (DefaultCredentialsError("none"), True),
        (TransportError("no route"), False),
        (RetryError("gave up", RefreshError("revoked")), True),
        (RetryError("gave up", TransportError("no route")), False),
        (requests.ConnectionError("no route"), False),
        (Unauthorized("no"), True),
        (BadRequest("Invalid bucket name"), True),
        (ServiceUnavailable("later"), False),
        (TooManyRequests("later"), False),
    ],
)
def test_a_rejected_login_is_final_and_a_network_failure_is_not(error, is_final):
    assert is_final == isinstance(gcs_error("write", "gs://bucket/a/part", error), StorageRefusedError)


def test_secrets_in_errors_are_not_quoted():
    secret = "ya29.secret-token"
    errors = [
        RefreshError(secret),
        DefaultCredentialsError(secret),
        requests.ConnectionError(secret),
        ValueError(secret),
    ]
    lines = [str(gcs_error("write", "gs://bucket/a/part", error)) for error in errors]
    assert [line.startswith("cannot write gs://bucket/a/part: Google") for line in lines] == [True] * 4
    assert secret not in "".join(lines)
