"""Settings of the generated world and of the emulator's behaviour."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

APP_SECRET = "emulator-app-secret"  # noqa: S105  (a documented test value that grants no access)
DEFAULT_NOW = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass(frozen=True)
class WorldSettings:
    """The settings of a generated world; equal settings always generate equal worlds.

    ``days`` is the number of days that the world covers, up to ``now``. Raises ValueError for settings out of range and
    for a ``now`` without a time zone.
    """

    seed: int = 1
    pages: int = 4
    messages: int = 50_000
    now: datetime = DEFAULT_NOW
    days: float = 30
    odd_texts: bool = True
    contents: bool = True

    def __post_init__(self) -> None:
        if self.pages < 1 or self.messages < 0 or self.days <= 0:
            raise ValueError("pages must be at least 1, messages at least 0 and days more than 0")
        if self.now.tzinfo is None:
            raise ValueError("now has no time zone: add one, such as +00:00")


@dataclass(frozen=True)
class LiveTraffic:
    """Live traffic for tests: ``messages`` arrive after every ``every_calls`` Graph calls, at most ``times`` times."""

    every_calls: int = 5
    messages: int = 1
    seed: int = 1
    times: int | None = None
    page_id: str | None = None
    platform: str | None = None
    new_thread_share: float = 0.3


@dataclass(frozen=True)
class EmulatorSettings:
    """The emulator's behaviour. By default there are no limits, so that tests are fast.

    ``calls_per_second`` is per Page and platform on the Conversations API (613), ``messenger_calls`` is (calls,
    window in seconds) per Page (80006), ``app_calls`` the same for the whole app (4). ``usage_floor`` is the
    percentage below which no usage header is sent; 0 sends one with every response. ``inspectors`` are the kinds of
    tokens that may call ``/debug_token``: Meta documents the app's own token and that of a user who is a developer of
    the app.
    With ``pages_are_public`` another Page's token may read a Page's name, but neither its token nor its
    messages. ``page_tasks`` lists the users' tasks on each Page where they do not have all of them.
    """

    calls_per_second: float | None = None
    messenger_calls: tuple[int, float] | None = None
    app_calls: tuple[int, float] | None = None
    usage_floor: int = 3
    app_secret: str = APP_SECRET
    require_proof: bool = False
    latency_ms: float = 0
    gzip: bool = True
    instagram_old_rows: Literal["id_and_time", "id_only"] = "id_and_time"
    arrivals_per_minute: float = 0
    live_traffic: LiveTraffic | None = None
    pages_without_role: frozenset[str] = frozenset()
    pages_without_instagram: frozenset[str] = frozenset()
    pages_are_public: bool = False
    page_tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inspectors: frozenset[str] = frozenset({"APP", "USER"})
    clock: Callable[[], float] = time.time
