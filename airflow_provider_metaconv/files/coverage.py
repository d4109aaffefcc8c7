"""Which time the windows of one Page and platform cover, and where a scheduled run has to begin to leave no gap.

Pure values: times only, and no more of them when there are more windows. ``coverage_record`` keeps them in a file.
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
"""Where the window of a full history begins."""

MAX_SPANS = 256
"""Windows that touch are one span. Beyond this number the latest are forgotten, which reads time again, never less."""

MAX_CLAIMS = 8
"""How many of the latest runs that closed a gap get the same window again when they are repeated."""


class Span(NamedTuple):
    """The time ``since <= t < until``."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Coverage:
    """The time that is covered, all of it aware and in UTC.

    ``asked_since`` is the earliest moment that any window was to cover, None before the first window. ``complete`` are
    the spans of windows without a gap: sorted, and merged where they touch. What is between ``asked_since`` and now
    and in none of them is to be read. ``claims`` are the windows of the latest runs that began earlier than their
    schedule said, by their end.
    """

    asked_since: datetime | None = None
    complete: tuple[Span, ...] = ()
    claims: tuple[Span, ...] = ()

    def to_bytes(self) -> bytes:
        """The coverage as JSON, indented because people open it."""
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
        """The coverage that ``to_bytes`` wrote; raises ``ValueError`` for anything else."""
        content = orjson.loads(data)
        if not isinstance(content, dict) or content.get("version") != COVERAGE_VERSION:
            raise ValueError(f"this is no coverage record of version {COVERAGE_VERSION}")
        # Records of earlier releases have none. A time with one digit changed would leave out a gap for good.
        if content.pop("sha256", None) not in (None, _checksum(content)):
            raise ValueError("a coverage record was changed after it was written")
        asked_since = content.get("asked_since")
        complete, claims = (_spans(content.get(key)) for key in ("complete", "claims"))
        if any(later.since <= earlier.until for earlier, later in pairwise(complete)):
            raise ValueError("the complete spans of a coverage record must be sorted and merged")
        return cls(None if asked_since is None else _moment(asked_since), complete, claims)


def with_window(coverage: Coverage, since: datetime | None, until: datetime, *, complete: bool) -> Coverage:
    """The coverage after one more window was committed; ``since`` None is a full history.

    A window that is not complete covers nothing, so that a scheduled run reads it again. A full history that is not
    complete is the exception: it may take hours, so it is repeated by hand, and only what follows it is asked for.

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
    """The end of the time that is covered without a gap; at most ``start``, None when no window began before that.

    The time begins with the earliest window; earlier messages were not asked for.
    """
    if coverage.asked_since is None or coverage.asked_since > start:
        return None
    end = coverage.asked_since
    for span in coverage.complete:
        if span.since > end:
            break
        end = max(end, span.until)
    return min(end, start)


def claimed_since(coverage: Coverage, since: datetime, until: datetime) -> datetime | None:
    """Where an earlier attempt of the run with this schedule began to read, if that was before ``since``."""
    return next((claim.since for claim in coverage.claims if claim.until == until and claim.since < since), None)


def with_claim(coverage: Coverage, since: datetime, until: datetime) -> Coverage:
    """The coverage after a run that ends at ``until`` has decided to begin at ``since``; the oldest claim may go."""
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
