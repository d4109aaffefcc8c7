"""Rate limits with real counters: who exceeds one is blocked until the block ends."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass

from .calls import Call
from .errors import GraphError, known_error
from .settings import EmulatorSettings

BUCKET_SECONDS = 10.0
APP = "app"
# Whom a rate-limit error blocks: the whole app, everything of a Page, or (all others) its conversations only.
APP_CODES = frozenset({4, 17, 341})
PAGE_CODES = frozenset({32, 80001})
FULL = 100


@dataclass(frozen=True)
class Block:
    """A caller who has to wait: every call within the scope gets the same error until then."""

    scope: str
    page_id: str | None
    error: GraphError
    until: float

    def regain_minutes(self, now: float) -> int:
        """Return the whole minutes until the block ends, rounded up."""
        return math.ceil(max(0.0, self.until - now) / 60)


@dataclass(frozen=True)
class Usage:
    """How full the buckets of one call are, in percent, and when they are usable again."""

    app: int = 0
    page: int = 0
    regain_minutes: int = 0


class RollingCount:
    """The number of calls within the last so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._times: deque[float] = deque()

    def at(self, now: float) -> int:
        """Return the calls of the window that ends now."""
        while self._times and self._times[0] <= now - self._seconds:
            self._times.popleft()
        return len(self._times)

    def add(self, now: float) -> int:
        """Count one call and return the number within the window."""
        self._times.append(now)
        return self.at(now)

    def free_at(self) -> float:
        """Return when the oldest call leaves the window."""
        return self._times[0] + self._seconds


class Limiter:
    """Counts calls per Page and app and says who has to wait; calls during a block do not prolong it."""

    def __init__(self, settings: EmulatorSettings) -> None:
        self._settings = settings
        seconds = settings.messenger_calls[1] if settings.messenger_calls else BUCKET_SECONDS
        self._messenger: defaultdict[str, RollingCount] = defaultdict(lambda: RollingCount(seconds))
        # A Page and its Instagram account have an allowance each.
        self._bucket: defaultdict[tuple[str, str | None], RollingCount] = defaultdict(
            lambda: RollingCount(BUCKET_SECONDS)
        )
        self._app = RollingCount(settings.app_calls[1] if settings.app_calls else 3_600)
        self._blocks: dict[str, Block] = {}

    def admit(self, call: Call, now: float) -> None:
        """Count a call; raises the limit's error, or that of the block it falls into."""
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
        # One call of grace: calls spaced evenly at the rate may stand on both ends of the window.
        if rate is not None and self._bucket[page_id, call.platform].add(now) > rate * BUCKET_SECONDS + 1:
            raise known_error("613")
        if self._settings.messenger_calls:
            rolling = self._messenger[page_id]
            if rolling.at(now) >= self._settings.messenger_calls[0]:
                raise self.block(call, known_error("80006"), rolling.free_at(), now)
            rolling.add(now)

    def block(self, call: Call, error: GraphError, until: float, now: float) -> GraphError:
        """Block the scope of the error's code until then, and return the error."""
        code = error.body["error"]["code"]
        page_id = None if code in APP_CODES else call.page_id
        scope = _scope(code, page_id)
        # A limit of a Page cannot block anybody when the call was about no Page.
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
        """Return how full the buckets of the call are after it."""
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
