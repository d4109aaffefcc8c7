"""Google's errors as one line that says what to change; their own words are read, never repeated: they quote values."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError, TransportError

from airflow_provider_metaconv.warehouse.bigquery.sql import LOCK_TABLE
from airflow_provider_metaconv.warehouse.errors import (
    SourceFileError,
    WarehouseBusyError,
    WarehouseError,
    WarehouseOpenError,
    WarehouseRefusedError,
)
from airflow_provider_metaconv.warehouse.source_files import RUN_AGAIN

_PERMISSION = re.compile(r"\b(?:bigquery|storage)\.[a-z]+\.[a-zA-Z]+\b")
_POSITION = re.compile(r"\b(line|row|position|byte)(?: offset)?:? (\d+)")
# The last three are not Google's words but those of servers that stand in for BigQuery on one machine.
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
_LIMITED = frozenset({"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded"})
_DENIED = frozenset({"accessDenied", "forbidden", "insufficientPermissions"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where something went wrong, in names that may be said: the job's project, the dataset, the files of a job."""

    project: str
    dataset: str
    files: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Problem:
    reason: str
    message: str
    code: int = 0


def is_concurrent_update(error_result: Mapping[str, Any] | None) -> bool:
    """Whether a job failed only because another changed the same table at the same time."""
    return error_result is not None and bool(_CONCURRENT.search(str(error_result.get("message"))))


def job_error(error_result: Mapping[str, Any], details: Sequence[Mapping[str, Any]], place: Place) -> WarehouseError:
    """What a failed job means; ``details`` are all its errors, which may name the file."""
    problem = _Problem(str(error_result.get("reason")), str(error_result.get("message")))
    said = problem.reason or f"HTTP {problem.code}"
    if (known := _known_trouble(problem, said, place)) is not None:
        return known
    if place.files and problem.reason in {"invalid", "notFound", "invalidQuery"} and not _is_about_places(problem):
        return _file_error(problem, details, place)
    return _translated(problem, place)


@contextlib.contextmanager
def one_line_errors(place: Place) -> Iterator[None]:
    """Whatever Google's library raises becomes a ``WarehouseError`` of one line."""
    try:
        yield
    except exceptions.GoogleAPIError as error:
        raise _translated(_problem(error), place) from None
    except GoogleAuthError as error:
        kind = WarehouseOpenError if isinstance(error, TransportError) or error.retryable else WarehouseRefusedError
        raise kind(
            f"cannot log in to Google ({type(error).__name__}): check the connection's key or the account's rights"
        ) from None
    except (FileNotFoundError, PermissionError) as error:
        raise SourceFileError(f"cannot read {error.filename} ({error.strerror}): {RUN_AGAIN}") from None
    except OSError as error:
        raise _unreachable(error) from None


def _problem(error: Exception) -> _Problem:
    if isinstance(error, exceptions.RetryError) and error.cause is not None:
        cause = error.cause
        return _problem(cause) if isinstance(cause, exceptions.GoogleAPICallError) else _Problem("unreachable", "")
    if not isinstance(error, exceptions.GoogleAPICallError):
        return _Problem("unreachable", type(error).__name__)
    first = error.errors[0] if error.errors and isinstance(error.errors[0], dict) else {}
    return _Problem(str(first.get("reason", "")), str(error.message), int(error.code or 0))


def _translated(problem: _Problem, place: Place) -> WarehouseError:
    said = problem.reason or f"HTTP {problem.code}"
    if problem.reason == "unreachable":
        return _unreachable(None)
    return _known_trouble(problem, said, place) or _by_reason(problem, said, place)


def _known_trouble(problem: _Problem, said: str, place: Place) -> WarehouseError | None:
    """What is told by its text, whatever reason comes with it."""
    if problem.reason == "accessNotConfigured" or "has not been used in project" in problem.message:
        return WarehouseRefusedError(f"the BigQuery API is not enabled in project {place.project}: enable it there")
    if problem.reason == "billingNotEnabled" or "illing has not been enabled" in problem.message:
        return WarehouseRefusedError(f"project {place.project} has no billing, and may change no rows: enable it there")
    if problem.reason == "stopped":
        return WarehouseError(f"someone cancelled the job on dataset {place.dataset}: run the task again")
    if "metaconv_staging_" in problem.message and problem.reason in {"notFound", ""}:
        return WarehouseBusyError(f"a staging table in dataset {place.dataset} is gone: let the task try again")
    if _TOO_MANY_DAYS.search(problem.message):
        return WarehouseRefusedError(
            f"one load may not change that many days of a table in dataset {place.dataset} ({said}): "
            "extract a history of more than ten years in several windows, and load each by itself"
        )
    return None


def _by_reason(problem: _Problem, said: str, place: Place) -> WarehouseError:
    if problem.reason in _LIMITED or problem.code == 429:
        return WarehouseBusyError(
            f"a quota of project {place.project} is used up ({said}): try later, or raise the quota"
        )
    if problem.reason in _DENIED or problem.code == 403:
        return _denied(problem, place)
    if problem.code == 401 or problem.reason == "authError":
        return WarehouseRefusedError("Google refuses the login (401): check the connection's key, it may be revoked")
    if _is_about_places(problem) or problem.reason == "notFound" or problem.code == 404:
        return _not_there(problem, place)
    if _CONCURRENT.search(problem.message) or problem.reason in _BUSY or problem.code >= 500:
        return WarehouseBusyError(f"BigQuery could not do it just now ({said}): let the task try again")
    return WarehouseError(
        f"BigQuery refuses to work on dataset {place.dataset} ({said}{_position(problem.message)}): "
        "check the tables there, their policies and constraints"
    )


def _denied(problem: _Problem, place: Place) -> WarehouseError:
    permission = match[0] if (match := _PERMISSION.search(problem.message)) else ""
    lacking = f" (it lacks {permission})" if permission else ""
    if place.files and (permission.startswith("storage.") or not permission):
        return WarehouseRefusedError(
            f"the account may not read {place.files[0]}{lacking}: give it Storage Object Viewer on that bucket"
        )
    return WarehouseRefusedError(
        f"the account may not load into dataset {place.dataset}{lacking}: give it BigQuery Data Editor on the dataset "
        f"and BigQuery Job User on project {place.project}, and check both names"
    )


def _is_about_places(problem: _Problem) -> bool:
    return bool(re.search(r"different locations|in location|[Nn]ot found: (?:Project|Dataset)", problem.message))


def _not_there(problem: _Problem, place: Place) -> WarehouseError:
    if "different locations" in problem.message:
        files = f" and the bucket of {place.files[0]}" if place.files else ""
        return WarehouseRefusedError(
            f"dataset {place.dataset}{files} are in different locations: use a dataset where the bucket is"
        )
    if "Project" in problem.message and "Dataset" not in problem.message:
        return WarehouseRefusedError(f"there is no project {place.project} for this account: check the project's name")
    return WarehouseRefusedError(
        f"dataset {place.dataset}, or a table in it, is not there or not in the location that was said: "
        "check the names and the location"
    )


def _file_error(problem: _Problem, details: Sequence[Mapping[str, Any]], place: Place) -> SourceFileError:
    mentioned = " ".join([problem.message, *(f"{each.get('location')} {each.get('message')}" for each in details)])
    named = [uri for uri in place.files if uri in mentioned]
    file = named[0] if named else place.files[0] + (" or a file beside it" if len(place.files) > 1 else "")
    if _FILE_MISSING.search(mentioned):
        return SourceFileError(f"there is no {file}: check the bucket, or {RUN_AGAIN}")
    return SourceFileError(
        f"BigQuery cannot read {file}{_position(mentioned)} or it breaks the table's types ({problem.reason}): "
        f"{RUN_AGAIN}"
    )


def _position(message: str) -> str:
    return f", {match[1]} {match[2]}," if (match := _POSITION.search(message)) else ""


def _unreachable(error: Exception | None) -> WarehouseOpenError:
    kind = f" ({type(error).__name__})" if error else ""
    return WarehouseOpenError(f"cannot reach BigQuery{kind}: check the network, a proxy, and the endpoint's address")
