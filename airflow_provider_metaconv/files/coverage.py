"""Which time the windows that lie in a storage cover, so that nothing between two runs stays unread."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from airflow_provider_metaconv.files.manifest import MANIFEST_NAME
from airflow_provider_metaconv.files.storage import Storage

_WINDOW = re.compile(r"window=(?:begin|(\d{8}T\d{6}Z))_(\d{8}T\d{6}Z)")


def covered_until(windows: Iterable[str], start: datetime) -> datetime | None:
    """The end of the time without gaps that the windows' names tell of; at most ``start``, None when there is none.

    The time begins with the earliest window; what lies before that nobody asked for.

    >>> covered_until(["window=begin_20261120T000000Z"], datetime(2026, 11, 21, tzinfo=UTC)).isoformat()
    '2026-11-20T00:00:00+00:00'
    """
    spans = sorted(
        (datetime.min.replace(tzinfo=UTC) if match[1] is None else _moment(match[1]), _moment(match[2]))
        for name in windows
        if (match := _WINDOW.fullmatch(name))
    )
    end: datetime | None = None
    for since, until in spans:
        if since > start or (end is not None and since > end):
            break
        end = until if end is None else max(end, until)
    return None if end is None else min(end, start)


def finished_windows(storage: Storage) -> list[str]:
    """The names of the finished windows beside that of a storage: those with a manifest."""
    return [folder.uri(MANIFEST_NAME).split("/")[-2] for folder in storage.neighbours(MANIFEST_NAME)]


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
