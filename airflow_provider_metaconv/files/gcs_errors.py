"""Whatever Google's libraries raise as one line that says what to change, and that quotes nothing secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import requests
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError, RetryError
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import storage

from airflow_provider_metaconv.files.errors import StorageError, StorageRefusedError

DataCorruption, InvalidResponse = storage.exceptions.DataCorruption, storage.exceptions.InvalidResponse
SERVICE_ERRORS = (GoogleAPIError, GoogleAuthError, requests.RequestException, DataCorruption, InvalidResponse)
"""What a call of Google Cloud Storage can raise."""

_ROLE = "the role Storage Object User"
_GOES_ON = "the task's retry goes on from its checkpoint"
_CREDENTIALS = "Google does not accept the credentials (check the Google Cloud connection that the task names)"
_NO_CONNECTION = f"Google Cloud Storage cannot be reached (check the worker's network and proxy; {_GOES_ON})"
_DAMAGED = f"what arrived is not what Google holds ({_GOES_ON})"
_SILENT = f"Google does not answer (try later; {_GOES_ON})"
_KEPT = "its retention policy or a hold forbids it (the bucket must allow to replace and delete; choose another one)"

_NO_BUCKET = "bucket does not exist"
_LIMITED = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})
_PERMISSION = re.compile(r"\bstorage\.[a-z]+\.[a-zA-Z]+\b(?=[^:/?&=]*\b(?:access|denied|permission))")
_KEPT_REASON = re.compile(r"retentionPolicyNotMet|objectUnderActiveHold|(?i:retention policy|active .{0,30}hold)")
_WORD = re.compile(r"[A-Za-z]{1,60}")


def gcs_error(action: str, uri: str, error: Exception) -> StorageError:
    """One line for an error of Google's libraries: what failed, on which ``gs://`` address, and what to do about it."""
    kind = StorageRefusedError if _is_for_a_person(error) else StorageError
    return kind(f"cannot {action} {uri}: {_advice(error, uri.split('/')[2])}")


def is_bucket_missing(error: GoogleAPICallError) -> bool:
    """Whether a 404 is about the bucket, not about an object in it."""
    return _NO_BUCKET in error.message


@dataclass(frozen=True, slots=True)
class _Answer:
    """What Google answered; the message may quote addresses and tokens, the reason is one word such as forbidden."""

    code: int
    reason: str | None
    message: str


def _is_for_a_person(error: BaseException | None) -> bool:
    """Whether waiting cannot help: a permission or a bucket is missing, or the login is refused."""
    answer = _answer(error)
    if answer is None:
        return _is_login_refused(error)
    return (
        answer.code in (400, 401)
        or (answer.code == 403 and answer.reason not in _LIMITED)
        or (answer.code == 404 and _NO_BUCKET in answer.message)
    )


def _is_login_refused(error: BaseException | None) -> bool:
    """Whether Google does not accept the credentials, as opposed to: cannot be asked just now."""
    if isinstance(error, RetryError):
        return _is_login_refused(error.cause)
    return isinstance(error, GoogleAuthError) and not isinstance(error, TransportError) and not error.retryable


def _answer(error: BaseException | None) -> _Answer | None:
    """What Google answered, if it did; of many tries the last."""
    if isinstance(error, RetryError):
        return _answer(error.cause)
    if isinstance(error, GoogleAPICallError):
        return _Answer(error.code or 0, _reason(error.response), error.message)
    if isinstance(error, InvalidResponse):
        return _Answer(error.response.status_code, _reason(error.response), error.response.text)
    return None


def _advice(error: BaseException | None, bucket: str) -> str:
    if isinstance(error, RetryError):
        # What it gave up on says more than that it gave up.
        return _SILENT if error.cause is None else _advice(error.cause, bucket)
    if (answer := _answer(error)) is not None:
        return _advice_on(answer, bucket)
    if isinstance(error, DataCorruption):
        return _DAMAGED
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return _CREDENTIALS
    return _NO_CONNECTION


def _advice_on(answer: _Answer, bucket: str) -> str:
    if answer.code == 401:
        return _CREDENTIALS
    if answer.code == 403 and answer.reason not in _LIMITED:
        return _forbidden(answer, bucket)
    if answer.code == 404 and _NO_BUCKET in answer.message:
        return f"there is no bucket {bucket} (make it, or change bucket=...)"
    if "requester pays" in answer.message:
        return f"the bucket {bucket} lets those pay who read it (choose one that does not)"
    if answer.code in (403, 429) or answer.code >= 500:
        return f"Google still answers {answer.code} after many tries (try later; {_GOES_ON})"
    return _soft(answer)


def _forbidden(answer: _Answer, bucket: str) -> str:
    if _KEPT_REASON.search(f"{answer.reason} {answer.message}"):
        return _KEPT
    if permission := _PERMISSION.search(answer.message):
        return f"the permission {permission[0]} is missing (give the service account {_ROLE} on the bucket {bucket})"
    return f"{_soft(answer)} (has the service account {_ROLE} on the bucket {bucket}?)"


def _soft(answer: _Answer) -> str:
    return f"Google answered {answer.code}{f', {answer.reason}' if answer.reason else ''}"


def _reason(response: Any) -> str | None:
    try:
        reason = response.json()["error"]["errors"][0]["reason"]
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
    return reason if isinstance(reason, str) and _WORD.fullmatch(reason) else None
