"""Translation of Cloud Storage errors into one line that says what to change and quotes no secrets."""

from __future__ import annotations

import re

import requests
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from airflow_provider_metaconv.files.errors import StorageError, StorageRefusedError
from airflow_provider_metaconv.google_errors import GoogleError, Problem, read_error

SERVICE_ERRORS = (GoogleAPIError, GoogleAuthError, requests.RequestException, DataCorruption, InvalidResponse)
"""The exceptions that a call to Google Cloud Storage can raise."""

_ROLE = "the role Storage Object User"
_CONTINUES = "a retry continues from the checkpoint"
_CREDENTIALS = "Google rejects the credentials (check the task's Google Cloud connection)"
_ADVICE = {
    Problem.LOGIN_REFUSED: _CREDENTIALS,
    Problem.LOGIN_FAILED: _CREDENTIALS,
    Problem.UNREACHABLE: f"Google Cloud Storage cannot be reached (check the worker's network and proxy; {_CONTINUES})",
    Problem.SILENT: f"Google does not respond (try again later; {_CONTINUES})",
    Problem.DAMAGED: f"the data received differ from the data stored ({_CONTINUES})",
}
_KEPT = "a retention policy or a hold forbids it (choose a bucket that allows objects to be replaced and deleted)"
_KEPT_REASON = re.compile(r"retentionPolicyNotMet|objectUnderActiveHold|(?i:retention policy|active .{0,30}hold)")
_NO_BUCKET = "bucket does not exist"


def gcs_error(action: str, uri: str, error: Exception) -> StorageError:
    """Return a one-line error for an exception of Google's libraries: what failed, on which URI, and what to do."""
    read = read_error(error)
    kind = StorageRefusedError if _needs_human_action(read) else StorageError
    return kind(f"cannot {action} {uri}: {_advice(read, uri.split('/')[2])}")


def is_bucket_missing(error: GoogleAPICallError) -> bool:
    """Whether a 404 refers to the bucket, not to an object in it."""
    return _NO_BUCKET in error.message


def _needs_human_action(error: GoogleError) -> bool:
    """Whether waiting cannot help: a permission or the bucket is missing, or the credentials are rejected."""
    return (
        error.problem is Problem.LOGIN_REFUSED
        or error.code in (400, 401)
        or (error.code == 403 and not error.is_limited)
        or (error.code == 404 and _NO_BUCKET in error.message)
    )


def _advice(error: GoogleError, bucket: str) -> str:
    if error.problem is not Problem.ANSWERED:
        return _ADVICE[error.problem]
    if error.code == 401:
        return _CREDENTIALS
    if error.code == 403 and not error.is_limited:
        return _forbidden(error, bucket)
    if error.code == 404 and _NO_BUCKET in error.message:
        return f"bucket {bucket} does not exist (create it, or change bucket=...)"
    if "requester pays" in error.message:
        return f"bucket {bucket} is a requester-pays bucket (choose one that is not)"
    if error.code in (403, 429) or error.code >= 500:
        return f"Google still responds with {error.code} after many attempts (try again later; {_CONTINUES})"
    return _status_and_reason(error)


def _forbidden(error: GoogleError, bucket: str) -> str:
    if _KEPT_REASON.search(f"{error.reason} {error.message}"):
        return _KEPT
    if error.permission:
        return f"the permission {error.permission} is missing (grant the service account {_ROLE} on bucket {bucket})"
    return f"{_status_and_reason(error)} (does the service account have {_ROLE} on bucket {bucket}?)"


def _status_and_reason(error: GoogleError) -> str:
    return f"Google responded with {error.code}{f', {error.reason}' if error.reason else ''}"
