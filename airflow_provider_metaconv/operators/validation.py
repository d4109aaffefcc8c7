"""Validation of operator arguments before the first call. Errors never quote a value, which may be a secret."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import pendulum
from airflow.providers.common.compat.sdk import Context

from airflow_provider_metaconv.files.manifest import window_folder
from airflow_provider_metaconv.schema import INSTAGRAM
from airflow_provider_metaconv.window import Window

OnIncomplete = Literal["warn", "fail"] | None
ON_INCOMPLETE: tuple[str, ...] = ("warn", "fail")
"""Applies to all incomplete data. With None, a partial window fails and incomplete conversations cause a warning."""

LOOKBACK = timedelta(minutes=10)
"""How far before its start a window is read, because Meta lists some messages late."""

Manifests = Iterable[str | Mapping[str, Any]] | str | Mapping[str, Any]

INBOX = "inbox"

LONGEST_TEXT = 4096
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

SCHEDULED = "scheduled"
"""Airflow's type of a run that the schedule created."""

LISTING_LAG = timedelta(seconds=5)
"""How long after its end a window is read. By then, Meta lists everything that belongs to it."""


def checked_page_id(page_id: str | int) -> str:
    """Return the Page ID as text; raises ``ValueError`` if it is malformed."""
    text = str(page_id)
    if not (text.isascii() and text.isdigit()):
        raise ValueError("page_id must contain only digits, such as 100.")
    return text


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ``ValueError``, naming the argument and its allowed values."""
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(allowed)}.")


def plain_text(name: str, value: str) -> str:
    """Return the text unchanged; raises ``ValueError`` if it has characters that a path or log line cannot contain."""
    if _UNPRINTABLE.search(value):
        raise ValueError(f"{name} must not contain control characters or unpaired surrogates: remove them.")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{name} must not be longer than {LONGEST_TEXT:,} characters: shorten it.")
    return value


def checked_place(name: str, value: object) -> str:
    """Return a folder, bucket or prefix as text; raises ``ValueError`` if storage or warehouse cannot use it."""
    place = plain_text(name, str(value))
    if "\\" in place:
        raise ValueError(f"{name} must not contain a backslash: use / between folders.")
    return place


def folders_to_read(platform: str, folder: str | Sequence[str] | None) -> Sequence[str | None]:
    """Return the folders to read, in order. None is Meta's default folder, and the only list on Instagram."""
    if platform == INSTAGRAM or not folder:
        return [None]
    return [folder] if isinstance(folder, str) else folder


def window_path(
    platform: str,
    page_id: str,
    since: datetime | None,
    until: datetime,
    folder: str | Sequence[str] | None = None,
    user_id: str | None = None,
) -> str:
    """Return the path of a task's files, relative to its destination."""
    # A narrowed list gets its own path, so that two such tasks do not replace each other's files.
    # A list that includes the inbox counts as the whole Page.
    folders = [name for name in folders_to_read(platform, folder) if name]
    whole = not folders or (INBOX in folders and len(folders) > 1)
    narrowed_by = {"folder": None if whole else "-".join(sorted(folders)), "user_id": user_id}
    return window_folder(platform, page_id, since, until, narrowed_by)


def present(context: Context) -> datetime:
    """Return the start of the run as the present, so that each attempt of a run has the same window."""
    dag_run = context.get("dag_run")
    started: datetime | None = getattr(dag_run, "start_date", None)
    return started or pendulum.now("UTC")


def is_scheduled(context: Context) -> bool:
    """Whether the schedule created the run, as opposed to a user, an asset or a backfill."""
    return getattr(context.get("dag_run"), "run_type", None) == SCHEDULED


def wait_for_listing(window: Window) -> None:
    """Wait until Meta lists the messages from the end of the window."""
    # A run that starts right at the end of its window, with a clock ahead of Meta's, would miss the last messages.
    missing = window.until + LISTING_LAG - pendulum.now("UTC")
    time.sleep(min(max(missing, timedelta()), LISTING_LAG).total_seconds())


def manifest_uris(manifests: Manifests) -> list[str]:
    """Return the URIs of manifests, given as one or many URIs or extract results.

    Raises ``ValueError`` for anything else.
    """
    return [_uri(manifest) for manifest in given_manifests(manifests)]


def given_manifests(manifests: Manifests) -> list[str | Mapping[str, Any]]:
    """Return the URIs and extract results themselves, without those of tasks that returned nothing."""
    if isinstance(manifests, str | Mapping):
        manifests = [manifests]
    if isinstance(manifests, Sequence):
        # Iterating over mapped XComs fetches them one by one; a slice fetches them all at once.
        manifests = manifests[:]
    return [manifest for manifest in manifests if manifest is not None]


def _uri(manifest: str | Mapping[str, Any]) -> str:
    uri = manifest.get("manifest") if isinstance(manifest, Mapping) else manifest
    if not isinstance(uri, str) or not uri:
        raise ValueError("manifests must contain only paths of manifests, or the extract tasks' output.")
    return plain_text("manifests", uri)
