"""Rate limits, the usage headers that report them, and statistics of the calls."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import GraphError, known_error
from .requests import Call
from .serialization import to_json
from .settings import EmulatorSettings

BUCKET_SECONDS = 10.0
APP = "app"
# A rate-limit error blocks the whole app, all calls about a Page or, with any other code, its conversations only.
APP_CODES = frozenset({4, 17, 341})
PAGE_CODES = frozenset({32, 80001})
FULL = 100
POOL_OF_CODE = {80001: "pages", 80002: "instagram"}
ADS_ACCOUNT_ID = "9000000000000009"


@dataclass(frozen=True)
class Block:
    """A block: every call in its scope gets the same error until ``until`` (epoch seconds)."""

    scope: str
    page_id: str | None
    error: GraphError
    until: float

    def regain_minutes(self, now: float) -> int:
        """Return the minutes until the block ends, rounded up."""
        return math.ceil(max(0.0, self.until - now) / 60)


@dataclass(frozen=True)
class Usage:
    """The usage that applies to one call, in percent, and the minutes until a block ends."""

    app: int = 0
    page: int = 0
    regain_minutes: int = 0


class RollingCount:
    """The number of calls in a sliding window of so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._times: deque[float] = deque()

    def at(self, now: float) -> int:
        """Return the number of calls in the window that ends now."""
        while self._times and self._times[0] <= now - self._seconds:
            self._times.popleft()
        return len(self._times)

    def add(self, now: float) -> int:
        """Count one call and return the number of calls in the window."""
        self._times.append(now)
        return self.at(now)

    def free_at(self) -> float:
        """Return when the oldest call leaves the window."""
        return self._times[0] + self._seconds


class Limiter:
    """Enforces the limits per Page and for the app. Calls during a block do not prolong it."""

    def __init__(self, settings: EmulatorSettings) -> None:
        self._settings = settings
        seconds = settings.messenger_calls[1] if settings.messenger_calls else BUCKET_SECONDS
        self._messenger: defaultdict[str, RollingCount] = defaultdict(lambda: RollingCount(seconds))
        # A Page and its Instagram account have separate limits.
        self._bucket: defaultdict[tuple[str, str | None], RollingCount] = defaultdict(
            lambda: RollingCount(BUCKET_SECONDS)
        )
        self._app = RollingCount(settings.app_calls[1] if settings.app_calls else 3_600)
        self._blocks: dict[str, Block] = {}

    def admit(self, call: Call, now: float) -> None:
        """Count a call; raises the error of the limit it exceeds or of the block that applies to it."""
        block = self._block_of(call, now)
        if block is not None:
            raise block.error
        if self._settings.app_calls:
            limit = self._settings.app_calls[0]
            if self._app.at(now) >= limit:
                raise self.block(call, known_error("4"), self._app.free_at(), now)
            self._app.add(now)
        if call.page_id is not None and call.is_conversation_api:
            self._admit_to_page(call, call.page_id, now)

    def _admit_to_page(self, call: Call, page_id: str, now: float) -> None:
        rate = self._settings.calls_per_second
        # One extra call, because calls evenly spaced at the rate can fall on both ends of the window.
        if rate is not None and self._bucket[page_id, call.platform].add(now) > rate * BUCKET_SECONDS + 1:
            raise known_error("613")
        if self._settings.messenger_calls:
            rolling = self._messenger[page_id]
            if rolling.at(now) >= self._settings.messenger_calls[0]:
                raise self.block(call, known_error("80006"), rolling.free_at(), now)
            rolling.add(now)

    def block(self, call: Call, error: GraphError, until: float, now: float) -> GraphError:
        """Block the scope of the error's code until that time, and return the error."""
        code = error.body["error"]["code"]
        page_id = None if code in APP_CODES else call.page_id
        scope = _scope(code, page_id)
        # A Page's limit blocks nothing if the call was not about a Page.
        if until > now and (page_id is not None or code in APP_CODES):
            self._blocks[scope] = Block(scope, page_id, error, until)
        return error

    def blocks(self, now: float) -> list[Block]:
        """Return the blocks that have not ended."""
        self._blocks = {scope: block for scope, block in self._blocks.items() if block.until > now}
        return list(self._blocks.values())

    def clear_blocks(self) -> None:
        """End every block at once."""
        self._blocks.clear()

    def _block_of(self, call: Call, now: float) -> Block | None:
        scopes = [APP, f"page:{call.page_id}"]
        if call.is_conversation_api:
            scopes.append(f"conversations:{call.page_id}")
        return next((block for block in self.blocks(now) if block.scope in scopes), None)

    def usage(self, call: Call, now: float) -> Usage:
        """Return the usage after the call."""
        settings = self._settings
        app = _percent(self._app.at(now), settings.app_calls[0]) if settings.app_calls else 0
        page = 0
        if settings.messenger_calls and call.page_id is not None and call.is_conversation_api:
            page = _percent(self._messenger[call.page_id].at(now), settings.messenger_calls[0])
        block = self._block_of(call, now)
        if block is None:
            return Usage(app, page)
        if block.scope == APP:
            return Usage(max(app, FULL), page)
        return Usage(app, max(page, FULL), block.regain_minutes(now))


def _scope(code: int, page_id: str | None) -> str:
    if page_id is None:
        return APP
    return f"page:{page_id}" if code in PAGE_CODES else f"conversations:{page_id}"


def _percent(count: int, limit: int) -> int:
    return count * FULL // max(1, limit)


@dataclass(frozen=True)
class ForeignUsage:
    """The usage of another business object, or of another usage type of the same object."""

    object_id: str
    pool: str
    percent: int
    regain_minutes: int


def usage_headers(
    call: Call, usage: Usage, floor: int, code: int | None = None, foreign: Sequence[ForeignUsage] = ()
) -> dict[str, str]:
    """Return the usage headers of one response; like Graph, none below ``floor`` percent."""
    headers = {}
    if usage.app >= floor:
        headers["x-app-usage"] = to_json(
            {"call_count": usage.app, "total_cputime": usage.app // 3, "total_time": usage.app // 2}
        )
    objects: dict[str, list[dict[str, Any]]] = {}
    # Other objects come first, so that a client that reads only the first entry fails its tests.
    for each in foreign:
        objects.setdefault(each.object_id, []).append(_pool(each.pool, each.percent, each.regain_minutes))
    if call.page_id is not None and (usage.page >= floor or usage.regain_minutes):
        default = "messenger" if call.is_conversation_api else "pages"
        pool = _pool(POOL_OF_CODE.get(code or 0, default), usage.page, usage.regain_minutes)
        objects.setdefault(call.page_id, []).append(pool)
    if objects:
        headers["x-business-use-case-usage"] = to_json(objects)
    return headers


def _pool(name: str, percent: int, regain_minutes: int) -> dict[str, Any]:
    return {
        "type": name,
        "call_count": percent,
        "total_cputime": percent // 3,
        "total_time": percent // 2,
        "estimated_time_to_regain_access": regain_minutes,
    }


class Statistics:
    """Counts of Graph calls by Page, platform and route, and of errors by code."""

    def __init__(self) -> None:
        self._calls: Counter[tuple[str | None, str | None, str]] = Counter()
        self._errors: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._recent: defaultdict[str, RollingCount] = defaultdict(lambda: RollingCount(BUCKET_SECONDS))
        self._peaks: dict[str, int] = {}
        self._unreadable = 0

    def count_call(self, call: Call, now: float) -> None:
        """Count one Graph call."""
        self._calls[call.page_id, call.platform, call.route] += 1
        if call.page_id is not None:
            peak = self._recent[call.page_id].add(now)
            self._peaks[call.page_id] = max(peak, self._peaks.get(call.page_id, 0))

    def count_unreadable(self) -> None:
        """Count a Graph call with an unknown path."""
        self._unreadable += 1

    def count_error(self, label: str) -> None:
        """Count one error by its code and subcode."""
        self._errors[label] += 1

    def count_fault(self, name: str) -> None:
        """Count one fault that triggered."""
        self._faults[name] += 1

    def report(self, blocks: list[Block], now: float) -> dict[str, Any]:
        """Return all counts and the current blocks as a JSON-ready dict."""
        per_page: Counter[str] = Counter()
        routes: Counter[str] = Counter()
        for (page_id, _, route), count in self._calls.items():
            routes[route] += count
            if page_id is not None:
                per_page[page_id] += count
        rows = [
            {"page_id": page_id, "platform": platform, "route": route, "calls": count}
            for (page_id, platform, route), count in self._calls.items()
        ]
        return {
            "calls": self._calls.total() + self._unreadable,
            "calls_by_page": dict(per_page),
            "calls_by_route": dict(routes),
            "calls_by_page_platform_route": rows,
            "errors": dict(self._errors),
            "faults": dict(self._faults),
            "blocks": [_block_row(block, now) for block in blocks],
            "max_calls_in_10_seconds": dict(self._peaks),
        }


def _block_row(block: Block, now: float) -> dict[str, Any]:
    return {
        "page_id": block.page_id,
        "scope": block.scope.partition(":")[0],
        "code": block.error.body["error"]["code"],
        "blocked_until": iso_time(block.until),
        "seconds_left": round(block.until - now, 3),
    }


def iso_time(epoch: float) -> str:
    """Return epoch seconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(epoch, tz=UTC).isoformat(timespec="seconds")
