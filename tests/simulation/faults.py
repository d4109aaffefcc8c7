"""The schedule of faults: which are active at a call, and which triggered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_metaconv.emulator.errors import JSON_TYPE, ODD_ANSWERS
from airflow_provider_metaconv.emulator.fault_injection import FaultRegistry
from airflow_provider_metaconv.emulator.faults import FAULTS, Fault, conditions_of
from airflow_provider_metaconv.emulator.requests import Call, Reading
from tests.simulation.clock import VirtualClock
from tests.simulation.scenario import FaultPlan

MALFORMED = (
    *(name for name, answer in ODD_ANSWERS.items() if answer.content_type == JSON_TYPE),
    *("foreign_object", "missing_data", "missing_messages", "null_rows"),
)
"""Responses with status 200 that lack what was requested."""

LEADING_BACK = frozenset({"repeated_cursor", "ignored_cursor"})
"""Faults that lead back to an earlier page, as the ends of some lists do."""

SHAPES = frozenset(name for name, kind in FAULTS.items() if kind.stage == "shape") - LEADING_BACK
"""How lists are cut and how they end: such responses lack nothing."""

NULLS = frozenset({"null_row", "null_rows"})
REFUSING = NULLS | {"empty_page"}
"""Faults with a valid response that shows nothing of the list."""

HONEST = SHAPES | {"usage", "foreign_usage", "empty_page", "unordered_page", "foreign_next", "hang", "unix_times"}
HONEST |= NULLS | {"missing_messages", "stale_updated_time"}
"""Faults that leave the list in a response intact, except for late, odd or missing values."""


LIMITS_WITHOUT_HINT = ("613", "613/1996", "80006")
"""The Conversations API's limits, when they come without an estimate."""


@dataclass(frozen=True, slots=True)
class TriggeredFault:
    """A fault that triggered at a call; ``target`` is the conversation or folder concerned, None for any."""

    name: str
    target: str | None

    @property
    def is_of_one_row(self) -> bool:
        """Whether it changes only one conversation of a list."""
        return self.target is not None and FAULTS[self.name].stage == "change"


class _Scheduled:
    """One plan and its progress."""

    def __init__(self, plan: FaultPlan, schedule: FaultSchedule, *, is_habit: bool) -> None:
        self.plan = plan
        self.fault = Fault(plan.name, route=plan.route, thread_id=plan.target, **dict(plan.options))
        self.is_habit = is_habit
        self.triggered_fault = TriggeredFault(plan.name, plan.target or self.fault.folder)
        self._conditions = conditions_of(self.fault)
        self._schedule = schedule
        self._seen = self._count = 0
        self._began: float | None = None

    def triggers(self, call: Call, reading: Reading, now: float) -> bool:
        """Whether it triggers at a call; counts the call."""
        plan, schedule = self.plan, self._schedule
        if schedule.call_number < plan.first_call or (plan.calls is not None and self._count >= plan.calls):
            return False
        if plan.seconds is not None and self._began is not None and now - self._began >= plan.seconds:
            return False
        for condition in self._conditions:
            if not condition(call, reading):
                return False
        # Two such changes to one response may cancel each other out.
        if _may_cancel(plan.name, schedule.triggered):
            return False
        if self._began is None:
            self._began = now
        self._seen += 1
        if (self._seen - 1) % plan.every:
            return False
        self._count += 1
        if self.is_habit:
            schedule.habits_met.append(plan.name)
        else:
            schedule.triggered.append(self.triggered_fault)
        return True


class FaultSchedule(FaultRegistry):
    """The faults of a scenario, in place of the emulator's own: they start at a call and last as long as planned.

    ``habits`` are Meta's permanent behaviours. ``habits_met`` and ``triggered`` are the habits and the other faults at
    the current call.
    """

    def __init__(self, habits: Iterable[FaultPlan], plans: Iterable[FaultPlan], clock: VirtualClock) -> None:
        super().__init__(clock)
        self.call_number = 0
        self.triggered: list[TriggeredFault] = []
        self.habits_met: list[str] = []
        self._scheduled = [_Scheduled(plan, self, is_habit=False) for plan in plans]
        self._habits = [_Scheduled(plan, self, is_habit=True) for plan in habits]
        self._arm(self._scheduled + self._habits)

    def next_call(self) -> None:
        """Starts the next call."""
        self.call_number += 1
        self.triggered, self.habits_met = [], []

    def stop(self) -> None:
        """Removes all faults; habits stay."""
        self.clear()
        self._arm(self._habits)

    def _arm(self, scheduled: Iterable[_Scheduled]) -> None:
        for each in scheduled:
            self._armed.append(each)  # type: ignore[arg-type]
            self._by_stage.setdefault(each.fault.kind.stage, []).append(each)  # type: ignore[arg-type]


def _may_cancel(name: str, triggered: Iterable[TriggeredFault]) -> bool:
    """Whether a fault, together with those already triggered, might make an incomplete response look complete."""
    is_change = FAULTS[name].stage == "change"
    for fault in triggered:
        if name in MALFORMED and (fault.name in MALFORMED or FAULTS[fault.name].stage == "change"):
            return True
        if is_change and fault.name in MALFORMED:
            return True
    return False


def is_limit(name: str) -> bool:
    """Whether a fault is a rate limit."""
    return name.partition("/")[0] in {"4", "17", "32", "341", "613", "80001", "80002", "80006"}
