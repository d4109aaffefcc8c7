"""How many calls and how much waiting an attempt may take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log2

from tests.simulation.faults import is_limit
from tests.simulation.scenario import Scenario, WorldPlan
from tests.simulation.transport import TOKEN, Sent
from tests.simulation.world import LiveWorld

SECONDS_PER_CALL = 1.0
"""More than the interval between calls of one Page plus the latency."""

TIMEOUT_SECONDS = 75.0
ISOLATION_WAIT_SECONDS = 120.0
CALLS_PER_UNREADABLE, SECONDS_PER_UNREADABLE = 25, 45.0
"""The cost of establishing that a conversation cannot be read on its own either."""

HOUR = 3_600.0
MOST_CALLS_IN_A_LIMITED_HOUR = 20
LONGEST_INLINE_SECONDS = 120.0
"""A worker that waits longer than this for a limit must be freed."""

CALLS_PER_KILL, SHARE_PER_KILL = 5, 0.02


CALLS_TO_GROW_BACK = 40
CALLS_PER_DOUBTFUL = 3


def plain_calls(scenario: Scenario, live: LiveWorld) -> int:
    """The calls that it takes to read everything once, with the largest pages allowed."""
    world = scenario.world
    asked, nested, page = scenario.sizes or (25, 5, 25)
    lists, messages = _Cut.of("conversations", world), _Cut.of("messages", world)
    rows, nested, page = lists.rows(asked), messages.rows(nested), messages.rows(page)
    calls = 2 + sum(
        lists.more + 1 + sum((thread.folder == (folder or "inbox")) for thread in live.world.threads.values()) // rows
        for folder in world.folders
    )
    for thread in live.world.threads.values():
        # If a nested page names itself as its next, only rereading all pages shows that nothing follows.
        beyond = len(thread.messages) - (0 if messages.names_itself else min(nested, messages.first))
        beyond = max(0, beyond)
        calls += -(-beyond // page) + (beyond > 0 or messages.more) * messages.more
        calls += (len(thread.others) + 1) // 25
    return calls + 2 * len(world.arrivals) + 2 * len(world.unsent)


def healthy_calls(plain: int) -> int:
    """The most calls of an undisturbed attempt."""
    return 3 * plain + 5


def recovery_calls(plain: int, conversations: int) -> int:
    """The most calls of the first attempt on a healthy API after faults.

    Refused sizes grow back step by step, and refused conversations are requested one by one.
    """
    return healthy_calls(plain) + CALLS_TO_GROW_BACK + CALLS_PER_DOUBTFUL * conversations


def isolation_calls(plain: int, bad: int, scenario: Scenario, listed: int) -> int:
    """The most calls of an attempt with ``bad`` conversations that each make every list with them fail."""
    # If the last page names itself, they occur on it once more.
    met = bad * (2 if _Cut.of("conversations", scenario.world).names_itself else 1)
    return healthy_calls(plain) + int(6 * met * log2(max(2, listed))) + 10


def calls_after_kills(undisturbed: int, kills: int) -> int:
    """The most calls until the first success, given the number of an undisturbed run."""
    return undisturbed + ceil(kills * (CALLS_PER_KILL + SHARE_PER_KILL * undisturbed))


def waited(sent: Sequence[Sent], seconds: float) -> float:
    """The seconds that an attempt spent waiting, without the time of its calls."""
    calling = sum(TIMEOUT_SECONDS if call.timed_out else SECONDS_PER_CALL for call in sent)
    return seconds - calling


def check_limits(history: Sequence[Sent], attempt: Sequence[Sent], ended: float, *, was_freed: bool) -> Iterator[str]:
    """Checks the reaction to a limit without an estimate that is the only fault; yields what is wrong.

    ``history`` has all calls so far, ``attempt`` those of the current attempt, which ended at ``ended``.
    """
    # A successful call in between means that the limit may be another one.
    answered = [number for number, call in enumerate(history) if call.phase != TOKEN and not _is_limited(call)]
    history = history[answered[-1] + 1 :] if answered else history
    limited = [call for call in history if _is_limited(call)]
    if not limited or not _is_limited(attempt[-1] if attempt else history[-1]):
        return
    began = limited[0].time
    in_the_hour = sum(began <= call.time <= began + HOUR for call in history)
    if in_the_hour > MOST_CALLS_IN_A_LIMITED_HOUR:
        yield f"{in_the_hour} calls in an hour under a limit"
    first = next(iter(_last_run(attempt)), None)
    if first is not None and (ended - first.time > LONGEST_INLINE_SECONDS or not was_freed):
        yield f"the worker waits {ended - first.time:.0f} s under a limit and {'is' if was_freed else 'is not'} freed"


def _is_limited(call: Sent) -> bool:
    return any(is_limit(fault.name) for fault in call.triggered)


def _last_run(sent: Iterable[Sent]) -> list[Sent]:
    """The limited calls at the end of a sequence."""
    run: list[Sent] = []
    for call in sent:
        run = [*run, call] if _is_limited(call) else []
    return run


@dataclass(frozen=True, slots=True)
class _Cut:
    """How a healthy Page cuts one kind of list: at most ``size`` rows per page, and ``more`` extra calls at its ends.

    ``first``: the most rows of its first page. ``names_itself``: whether its last page names itself as its next.
    """

    size: int
    divisor: int
    more: int
    first: int
    names_itself: bool

    @staticmethod
    def of(edge: str, world: WorldPlan) -> _Cut:
        size, divisor, more, first, names_itself = 10_000, 1, 0, 10_000, False
        for habit in world.habits:
            if dict(habit.options).get("edge", edge) == edge:
                size = min(size, dict(habit.options)["size"] if habit.name == "page_size" else size)
                first = min(first, dict(habit.options)["size"] if habit.name == "first_page" else first)
                divisor *= 2 if habit.name == "short_page" else 1
                names_itself |= habit.name == "self_tail"
                more += habit.name in ("first_page", "empty_tail", "empty_self_tail", "self_tail")
        return _Cut(size, divisor, more, first, names_itself)

    def rows(self, asked: int) -> int:
        return max(1, min(asked // self.divisor, self.size))
