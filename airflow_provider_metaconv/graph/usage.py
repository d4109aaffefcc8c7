"""How full Meta's call limits are, read from the headers of every answer, success or error.

The headers this is for (https://developers.facebook.com/docs/graph-api/overview/rate-limiting)::

    x-app-usage: {"call_count": 12, "total_cputime": 0, "total_time": 0}
    x-business-use-case-usage: {"<page id>": [{"type": "messenger", "call_count": 100, "total_cputime": 25,
                                               "total_time": 25, "estimated_time_to_regain_access": 19}]}

Percentages are of the limit, times to regain access are in minutes and 0 means "no estimate". A missing header says
nothing, unknown keys are ignored, and whatever cannot be read counts as missing: a header must never end a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

LONGEST_WAIT_SECONDS = 7 * 24 * 3600.0
"""No limit of Meta's lasts longer than a day: a larger number is a mistake, and must not stop a Page for ever."""

_PERCENTAGES = ("call_count", "total_cputime", "total_time", "acc_id_util_pct")


@dataclass(frozen=True, slots=True)
class Pool:
    """One call limit: whose (``object_id``), which (``bucket``), how full in percent, seconds until it opens again."""

    object_id: str
    bucket: str
    percent: float
    regain_seconds: float


@dataclass(frozen=True, slots=True)
class Usage:
    """All call limits that one answer speaks of."""

    pools: tuple[Pool, ...] = ()

    @property
    def percent(self) -> float:
        """How full the fullest limit is; 0 when no header came."""
        return max((pool.percent for pool in self.pools), default=0.0)

    def wait_seconds(self, bucket: str) -> float:
        """Seconds until the named bucket opens again, of any bucket when that one gives none; 0: no estimate."""
        named = max((pool.regain_seconds for pool in self.pools if pool.bucket == bucket), default=0.0)
        return named or max((pool.regain_seconds for pool in self.pools), default=0.0)


def read_usage(headers: Mapping[str, str]) -> Usage:
    """The limits in an answer's headers (looked up without regard to case by ``requests``)."""
    return Usage(
        (
            *_simple_pool(headers, "x-app-usage", "app"),
            *_simple_pool(headers, "x-page-usage", "pages"),
            *_business_pools(headers),
        )
    )


def _business_pools(headers: Mapping[str, str]) -> Iterator[Pool]:
    for object_id, entries in _parsed(headers.get("x-business-use-case-usage")).items():
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict):
                yield _pool(str(object_id), str(entry.get("type", "")), entry)


def _simple_pool(headers: Mapping[str, str], name: str, bucket: str) -> Iterator[Pool]:
    entry = _parsed(headers.get(name))
    if entry:
        yield _pool("", bucket, entry)


def _pool(object_id: str, bucket: str, entry: Mapping[str, Any]) -> Pool:
    percent = max(_number(entry.get(key)) for key in _PERCENTAGES)
    regain = 60.0 * _number(entry.get("estimated_time_to_regain_access"))
    return Pool(object_id, bucket, percent, min(regain, LONGEST_WAIT_SECONDS))


def _parsed(header: str | None) -> dict[str, Any]:
    try:
        value = orjson.loads(header or "{}")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0
