"""Errors of Cloud Storage as one line that says what to change, and that quotes nothing secret."""

from __future__ import annotations

import re

import requests
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from airflow_provider_metaconv.files.errors import StorageError, StorageRefusedError
from airflow_provider_metaconv.google_errors import GoogleError, Problem, read_error

SERVICE_ERRORS = (GoogleAPIError, GoogleAuthError, requests.RequestException, DataCorruption, InvalidResponse)
"""What a call of Google Cloud Storage can raise."""

_ROLE = "the role Storage Object User"
_GOES_ON = "the task's retry goes on from its checkpoint"
_CREDENTIALS = "Google does not accept the credentials (check the Google Cloud connection that the task names)"
_ADVICE = {
    Problem.LOGIN_REFUSED: _CREDENTIALS,
    Problem.LOGIN_FAILED: _CREDENTIALS,
    Problem.UNREACHABLE: f"Google Cloud Storage cannot be reached (check the worker's network and proxy; {_GOES_ON})",
    Problem.SILENT: f"Google does not answer (try later; {_GOES_ON})",
    Problem.DAMAGED: f"what arrived is not what Google holds ({_GOES_ON})",
}
_KEPT = "its retention policy or a hold forbids it (the bucket must allow to replace and delete; choose another one)"
_KEPT_REASON = re.compile(r"retentionPolicyNotMet|objectUnderActiveHold|(?i:retention policy|active .{0,30}hold)")
_NO_BUCKET = "bucket does not exist"


def gcs_error(action: str, uri: str, error: Exception) -> StorageError:
    """One line for an error of Google's libraries: what failed, on which ``gs://`` address, and what to do about it."""
    read = read_error(error)
    kind = StorageRefusedError if _is_for_a_person(read) else StorageError
    return kind(f"cannot {action} {uri}: {_advice(read, uri.split('/')[2])}")


def is_bucket_missing(error: GoogleAPICallError) -> bool:
    """Whether a 404 is about the bucket, not about an object in it."""
    return _NO_BUCKET in error.message


def _is_for_a_person(error: GoogleError) -> bool:
    """Whether waiting cannot help: a permission or a bucket is missing, or the login is refused."""
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
        return f"there is no bucket {bucket} (make it, or change bucket=...)"
    if "requester pays" in error.message:
        return f"the bucket {bucket} lets those pay who read it (choose one that does not)"
    if error.code in (403, 429) or error.code >= 500:
        return f"Google still answers {error.code} after many tries (try later; {_GOES_ON})"
    return _answered(error)


def _forbidden(error: GoogleError, bucket: str) -> str:
    if _KEPT_REASON.search(f"{error.reason} {error.message}"):
        return _KEPT
    if error.permission:
        return f"the permission {error.permission} is missing (give the service account {_ROLE} on the bucket {bucket})"
    return f"{_answered(error)} (has the service account {_ROLE} on the bucket {bucket}?)"


def _answered(error: GoogleError) -> str:
    return f"Google answered {error.code}{f', {error.reason}' if error.reason else ''}"
