"""What the operators take, checked before anything costs a call; errors never quote a value, which may be a secret."""

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
"""For all that is incomplete; None: a partial window fails, conversations that Meta withholds are a warning."""

LOOKBACK = timedelta(minutes=10)
"""So much before its beginning a window is read: Meta lists some messages late."""

Manifests = Iterable[str | Mapping[str, Any]] | str | Mapping[str, Any]

INBOX = "inbox"

LONGEST_TEXT = 4096
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

SCHEDULED = "scheduled"
"""The type of a run that the schedule made, in Airflow's words."""

LISTING_LAG = timedelta(seconds=5)
"""So long after its end a window is read: by then Meta lists what belongs to it."""


def checked_page_id(page_id: str | int) -> str:
    """The Page's id as text; raises ``ValueError`` for what is none."""
    text = str(page_id)
    if not (text.isascii() and text.isdigit()):
        raise ValueError("page_id must contain only digits, such as 100.")
    return text


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raises ``ValueError`` with one line that names the argument and what it may be."""
    if value not in allowed:
        raise ValueError(f"{name} is unknown: use {' or '.join(allowed)}.")


def plain_text(name: str, value: str) -> str:
    """The text as it is; raises ``ValueError`` for one with characters that no path and no log line can hold."""
    if _UNPRINTABLE.search(value):
        raise ValueError(f"{name} holds a control character or half of a surrogate pair: leave it out.")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{name} is longer than {LONGEST_TEXT:,} characters: shorten it.")
    return value


def checked_place(name: str, value: object) -> str:
    """A folder, bucket or prefix as text; raises ``ValueError`` for one that no storage and warehouse can both name."""
    place = plain_text(name, str(value))
    if "\\" in place:
        raise ValueError(f"{name} holds a backslash: write / between folders.")
    return place


def folders_to_read(platform: str, folder: str | Sequence[str] | None) -> Sequence[str | None]:
    """Which of Messenger's folders are read, one after the other; None is Meta's default, and Instagram's only list."""
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
    """Where the files of a task with these arguments lie, below its destination."""
    # What narrows the list gets a place of its own, so that two such tasks do not replace each other's files.
    # A list with the inbox in it means the Page as a whole.
    folders = [name for name in folders_to_read(platform, folder) if name]
    whole = not folders or (INBOX in folders and len(folders) > 1)
    narrowed_by = {"folder": None if whole else "-".join(sorted(folders)), "user_id": user_id}
    return window_folder(platform, page_id, since, until, narrowed_by)


def present(context: Context) -> datetime:
    """The present for windows that end in it: when the run began, so that each attempt of it has the same window."""
    dag_run = context.get("dag_run")
    started: datetime | None = getattr(dag_run, "start_date", None)
    return started or pendulum.now("UTC")


def is_scheduled(context: Context) -> bool:
    """Whether the schedule made the run, as opposed to a person, an asset or a backfill."""
    return getattr(context.get("dag_run"), "run_type", None) == SCHEDULED


def wait_for_listing(window: Window) -> None:
    """Waits the moment that Meta needs to list what came at the window's very end."""
    # A run that starts at the very end of its window, by a clock that is ahead of Meta's, would miss the last moments.
    missing = window.until + LISTING_LAG - pendulum.now("UTC")
    time.sleep(min(max(missing, timedelta()), LISTING_LAG).total_seconds())


def manifest_uris(manifests: Manifests) -> list[str]:
    """The manifests' URIs from what users and XCom give: one or many, URIs or extract results.

    Raises ``ValueError`` for anything else.
    """
    if isinstance(manifests, str | Mapping):
        manifests = [manifests]
    if isinstance(manifests, Sequence):
        # XComs of mapped tasks are fetched one by one when iterated, and in one go as a slice.
        manifests = manifests[:]
    return [_uri(manifest) for manifest in manifests if manifest is not None]


def _uri(manifest: str | Mapping[str, Any]) -> str:
    uri = manifest.get("manifest") if isinstance(manifest, Mapping) else manifest
    if not isinstance(uri, str) or not uri:
        raise ValueError("manifests holds something that is no manifest: give paths, or the extract tasks' output.")
    return plain_text("manifests", uri)
