"""Translation of BigQuery's errors into one line that says what to change. Google's text may quote values of rows."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from airflow_provider_metaconv.files.errors import RUN_AGAIN
from airflow_provider_metaconv.google_errors import GoogleError, Problem, read_error
from airflow_provider_metaconv.warehouse.bigquery.sql import LOCK_TABLE
from airflow_provider_metaconv.warehouse.errors import (
    SourceFileError,
    WarehouseBusyError,
    WarehouseError,
    WarehouseOpenError,
    WarehouseRefusedError,
)

_POSITION = re.compile(r"\b(line|row|position|byte)(?: offset)?:? (\d+)")
# The last three are the messages of local BigQuery emulators, not Google's.
_CONCURRENT = re.compile(
    rf"concurrent update|could not serialize|already exists: table \S*{LOCK_TABLE}"
    rf"|conflict on update|failed to commit|duplicate key .*{LOCK_TABLE}",
    re.IGNORECASE,
)
_FILE_MISSING = re.compile(
    r"not found: (?:uri|bucket)|matched no files|no files found|HTTP 404|HTTP GET error.*404", re.I
)
_TOO_MANY_DAYS = re.compile(r"too many partitions", re.IGNORECASE)

_BUSY = frozenset({"backendError", "internalError", "jobBackendError", "jobInternalError", "tableUnavailable"})
_DENIED = frozenset({"accessDenied", "forbidden", "insufficientPermissions"})


@dataclass(frozen=True, slots=True)
class Place:
    """The names that an error message may mention: the jobs' project, the dataset and the files of a job."""

    project: str
    dataset: str
    files: Sequence[str] = ()


def is_concurrent_update(error_result: Mapping[str, Any] | None) -> bool:
    """Whether a job failed only because another job changed the same table at the same time."""
    return error_result is not None and bool(_CONCURRENT.search(str(error_result.get("message"))))


def job_error(error_result: Mapping[str, Any], details: Sequence[Mapping[str, Any]], place: Place) -> WarehouseError:
    """Return the error to raise for a failed job. ``details`` are all its errors, which may name the file."""
    error = GoogleError(
        Problem.ANSWERED, reason=str(error_result.get("reason")), message=str(error_result.get("message"))
    )
    if (known := _recognised_error(error, place)) is not None:
        return known
    if place.files and error.reason in {"invalid", "notFound", "invalidQuery"} and not _is_about_location(error):
        return _file_error(error, details, place)
    return _by_reason(error, place)


@contextlib.contextmanager
def one_line_errors(place: Place) -> Iterator[None]:
    """Raise every error of Google's client libraries as a ``WarehouseError`` with a one-line message."""
    try:
        yield
    except (GoogleAPIError, GoogleAuthError) as error:
        raise _translated(error, place) from None
    except (FileNotFoundError, PermissionError) as error:
        raise SourceFileError(f"cannot read {error.filename} ({error.strerror}): {RUN_AGAIN}") from None
    except OSError as error:
        raise _unreachable(f" ({type(error).__name__})") from None


def _translated(error: Exception, place: Place) -> WarehouseError:
    read = read_error(error)
    match read.problem:
        case Problem.ANSWERED:
            return _recognised_error(read, place) or _by_reason(read, place)
        case Problem.LOGIN_REFUSED | Problem.LOGIN_FAILED:
            kind = WarehouseRefusedError if read.problem is Problem.LOGIN_REFUSED else WarehouseOpenError
            return kind(
                f"cannot log in to Google ({type(error).__name__}): check the connection's key and the account's roles"
            )
        case _:
            return _unreachable()


def _reason(error: GoogleError) -> str:
    return error.reason or f"HTTP {error.code}"


def _recognised_error(error: GoogleError, place: Place) -> WarehouseError | None:
    """Return the error for problems that are recognised by their text, whatever the reason code."""
    if error.reason == "accessNotConfigured" or "has not been used in project" in error.message:
        return WarehouseRefusedError(f"the BigQuery API is not enabled in project {place.project}: enable it there")
    if error.reason == "billingNotEnabled" or "illing has not been enabled" in error.message:
        return WarehouseRefusedError(
            f"project {place.project} has no billing, which DML requires: enable billing there"
        )
    if error.reason == "stopped":
        return WarehouseError(f"the job on dataset {place.dataset} was cancelled: run the task again")
    if "metaconv_staging_" in error.message and error.reason in {"notFound", ""}:
        return WarehouseBusyError(f"a staging table in dataset {place.dataset} was deleted: let the task retry")
    if _TOO_MANY_DAYS.search(error.message):
        return WarehouseRefusedError(
            f"one load cannot change that many partitions of a table in dataset {place.dataset} ({_reason(error)}): "
            "extract a history of more than ten years in several windows, and load each window separately"
        )
    return None


def _by_reason(error: GoogleError, place: Place) -> WarehouseError:
    if error.is_limited:
        return WarehouseBusyError(
            f"a quota of project {place.project} is exhausted ({_reason(error)}): try again later, or raise the quota"
        )
    if error.reason in _DENIED or error.code == 403:
        return _denied(error, place)
    if error.code == 401 or error.reason == "authError":
        return WarehouseRefusedError("Google rejected the login (401): check whether the connection's key was revoked")
    if _is_about_location(error) or error.reason == "notFound" or error.code == 404:
        return _not_found(error, place)
    if _CONCURRENT.search(error.message) or error.reason in _BUSY or error.code >= 500:
        return WarehouseBusyError(f"BigQuery is temporarily unavailable ({_reason(error)}): let the task retry")
    return WarehouseError(
        f"BigQuery rejected an operation on dataset {place.dataset} ({_reason(error)}{_position(error.message)}): "
        "check the tables there, their policies and constraints"
    )


def _denied(error: GoogleError, place: Place) -> WarehouseError:
    permission = error.permission
    lacking = f" (it lacks {permission})" if permission else ""
    if place.files and (permission.startswith("storage.") or not permission):
        return WarehouseRefusedError(
            f"the account may not read {place.files[0]}{lacking}: grant it Storage Object Viewer on that bucket"
        )
    return WarehouseRefusedError(
        f"the account may not load into dataset {place.dataset}{lacking}: grant it BigQuery Data Editor on the dataset "
        f"and BigQuery Job User on project {place.project}, and check both names"
    )


def _is_about_location(error: GoogleError) -> bool:
    return bool(re.search(r"different locations|in location|[Nn]ot found: (?:Project|Dataset)", error.message))


def _not_found(error: GoogleError, place: Place) -> WarehouseError:
    if "different locations" in error.message:
        files = f" and the bucket of {place.files[0]}" if place.files else ""
        return WarehouseRefusedError(
            f"dataset {place.dataset}{files} are in different locations: use a dataset in the bucket's location"
        )
    if "Project" in error.message and "Dataset" not in error.message:
        return WarehouseRefusedError(f"the account cannot see project {place.project}: check the project's name")
    return WarehouseRefusedError(
        f"dataset {place.dataset}, or a table in it, does not exist or is not in the configured location: "
        "check the names and the location"
    )


def _file_error(error: GoogleError, details: Sequence[Mapping[str, Any]], place: Place) -> SourceFileError:
    mentioned = " ".join([error.message, *(f"{each.get('location')} {each.get('message')}" for each in details)])
    named = [uri for uri in place.files if uri in mentioned]
    file = named[0] if named else place.files[0] + (" or another file of that load" if len(place.files) > 1 else "")
    if _FILE_MISSING.search(mentioned):
        return SourceFileError(f"{file} does not exist: check the bucket, or {RUN_AGAIN}")
    return SourceFileError(
        f"BigQuery cannot read {file}{_position(mentioned)} or its values do not match the column types "
        f"({error.reason}): {RUN_AGAIN}"
    )


def _position(message: str) -> str:
    return f", {match[1]} {match[2]}," if (match := _POSITION.search(message)) else ""


def _unreachable(kind: str = "") -> WarehouseOpenError:
    return WarehouseOpenError(f"cannot reach BigQuery{kind}: check the network, the proxy and the endpoint's address")
