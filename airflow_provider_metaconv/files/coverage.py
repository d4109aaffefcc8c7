"""The time covered by the windows of one Page and platform, and where a scheduled run must start to leave no gap.

Pure values. Their size does not grow with the number of windows. ``coverage_record`` stores them in a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

COVERAGE_VERSION = 1

BEGINNING = datetime.min.replace(tzinfo=UTC)
"""The start of a full history's window."""

MAX_SPANS = 256
"""Adjacent windows form one span. Beyond this number, the latest are dropped, so time is read again, never lost."""

MAX_CLAIMS = 8
"""For how many of the latest gap-filling runs the window is stored, so that a repeated run reads the same one."""


class Span(NamedTuple):
    """The time ``since <= t < until``."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Coverage:
    """The covered time. All times are aware and in UTC.

    ``asked_since`` is the earliest start of any window, None before the first window. ``complete`` holds the spans of
    complete windows, sorted, and merged where they touch. Time between ``asked_since`` and now that is in none of them
    remains to be read. ``claims`` holds the windows of the latest runs that started before their data interval, sorted
    by end.
    """

    asked_since: datetime | None = None
    complete: tuple[Span, ...] = ()
    claims: tuple[Span, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the coverage as JSON, indented for human readers."""
        content = {
            "version": COVERAGE_VERSION,
            "asked_since": self.asked_since and self.asked_since.isoformat(),
            "complete": [[moment.isoformat() for moment in span] for span in self.complete],
            "claims": [[moment.isoformat() for moment in span] for span in self.claims],
        }
        sealed = content | {"sha256": _checksum(content)}
        return orjson.dumps(sealed, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_bytes(cls, data: bytes) -> Coverage:
        """Parse what ``to_bytes`` wrote; raises ``ValueError`` for anything else."""
        content = orjson.loads(data)
        if not isinstance(content, dict) or content.get("version") != COVERAGE_VERSION:
            raise ValueError(f"this is not a coverage record of version {COVERAGE_VERSION}")
        # Earlier releases wrote no checksum. A single changed digit in a time could hide a gap for ever.
        if content.pop("sha256", None) not in (None, _checksum(content)):
            raise ValueError("the coverage record has changed since it was written")
        asked_since = content.get("asked_since")
        complete, claims = (_spans(content.get(key)) for key in ("complete", "claims"))
        if any(later.since <= earlier.until for earlier, later in pairwise(complete)):
            raise ValueError("the complete spans of a coverage record must be sorted and merged")
        return cls(None if asked_since is None else _moment(asked_since), complete, claims)


def with_window(coverage: Coverage, since: datetime | None, until: datetime, *, complete: bool) -> Coverage:
    """Return the coverage after a window was committed; ``since`` None means a full history.

    An incomplete window covers nothing, so that a scheduled run reads it again. An incomplete full history is the
    exception: it may take hours, so it is repeated manually, and scheduled runs only read what follows it.

    >>> since, until = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
    >>> covered_until(with_window(Coverage(), since, until, complete=True), datetime(2026, 11, 23, tzinfo=UTC)).day
    21
    """
    span = Span(BEGINNING if since is None else since.astimezone(UTC), until.astimezone(UTC))
    asked = span.until if since is None and not complete else span.since
    return replace(
        coverage,
        asked_since=asked if coverage.asked_since is None else min(asked, coverage.asked_since),
        complete=_merged([*coverage.complete, span])[:MAX_SPANS] if complete else coverage.complete,
    )


def covered_until(coverage: Coverage, start: datetime) -> datetime | None:
    """Return the end of the gapless coverage, at most ``start``; None if no window starts before it.

    Coverage starts with the earliest window. Earlier messages were never requested.
    """
    if coverage.asked_since is None or coverage.asked_since > start:
        return None
    end = coverage.asked_since
    for span in coverage.complete:
        if span.since > end:
            break
        end = max(end, span.until)
    return min(end, start)


def kept_from(coverage: Coverage, cutoff: datetime) -> Coverage:
    """Return the coverage from ``cutoff`` on: time whose messages are not kept is neither covered nor a gap."""
    if coverage.asked_since is None or coverage.asked_since >= cutoff:
        return coverage
    cutoff = cutoff.astimezone(UTC)
    kept = (Span(max(span.since, cutoff), span.until) for span in coverage.complete if span.until > cutoff)
    return replace(coverage, asked_since=cutoff, complete=tuple(kept))


def gaps(coverage: Coverage) -> tuple[Span, ...]:
    """Return the time between the start of the first window and the last complete span that is not covered, sorted."""
    found: list[Span] = []
    end = coverage.asked_since
    for span in coverage.complete:
        if end is not None and span.since > end:
            found.append(Span(end, span.since))
        end = span.until if end is None else max(end, span.until)
    return tuple(found)


def claimed_since(coverage: Coverage, since: datetime, until: datetime) -> datetime | None:
    """Return where an earlier attempt of this run started to read, if that was before ``since``."""
    return next((claim.since for claim in coverage.claims if claim.until == until and claim.since < since), None)


def with_claim(coverage: Coverage, since: datetime, until: datetime) -> Coverage:
    """Return the coverage with a run's decision to start at ``since``. The oldest claim may be dropped."""
    others = (claim for claim in coverage.claims if claim.until != until)
    claims = sorted([*others, Span(since.astimezone(UTC), until.astimezone(UTC))], key=lambda claim: claim.until)
    return replace(coverage, claims=tuple(claims[-MAX_CLAIMS:]))


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.since <= merged[-1].until:
            merged[-1] = Span(merged[-1].since, max(merged[-1].until, span.until))
        else:
            merged.append(span)
    return tuple(merged)


def _spans(content: Any) -> tuple[Span, ...]:
    if not isinstance(content, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in content):
        raise ValueError("the spans of a coverage record must be pairs of times")
    spans = tuple(Span(_moment(since), _moment(until)) for since, until in content)
    if any(span.since >= span.until for span in spans):
        raise ValueError("a span of a coverage record must begin before it ends")
    return spans


def _moment(content: Any) -> datetime:
    moment = datetime.fromisoformat(content) if isinstance(content, str) else None
    if moment is None or moment.utcoffset() != timedelta():
        raise ValueError("a time in a coverage record must be ISO 8601 in UTC")
    return moment.astimezone(UTC)
