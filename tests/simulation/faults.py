"""The schedule of faults: which of them is active when a call comes, and what it struck."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_metaconv.emulator.calls import Call
from airflow_provider_metaconv.emulator.faults import FAULTS, Fault, FaultBook, Reading
from tests.simulation.clock import VirtualClock
from tests.simulation.scenario import FaultPlan

ODD_ANSWERS = (
    "empty_object",
    "old_style_error",
    "foreign_object",
    "messages_missing",
    "null_rows",
    "empty_messages_edge",
)
"""A 200 without what was asked for; the emulator does not know these, so that the transport carries them out."""

FAULT_NAMES = (*FAULTS, *ODD_ANSWERS)
NOTHING_STRUCK = ""


@dataclass(slots=True)
class _Scheduled:
    """One plan, and how far it has come."""

    plan: FaultPlan
    fault: Fault | None
    seen: int = 0
    struck: int = 0
    began: float | None = None

    def strikes(self, call: Call, number: int, now: float) -> bool:
        plan = self.plan
        if number < plan.first_call or not self._fits(call):
            return False
        if self.began is None:
            self.began = now
        if plan.seconds is not None and now - self.began >= plan.seconds:
            return False
        if plan.calls is not None and self.struck >= plan.calls:
            return False
        self.seen += 1
        if (self.seen - 1) % plan.every:
            return False
        self.struck += 1
        return True

    def _fits(self, call: Call) -> bool:
        plan = self.plan
        if plan.target is not None and plan.target not in (call.object_id, call.parameters.get("folder")):
            return False
        if self.fault is not None:
            return self.fault.fits(call)
        return (plan.route or call.route) == call.route


class FaultSchedule(FaultBook):
    """The faults of a scenario in place of the emulator's book: they begin at a call and last as long as planned.

    ``struck`` is what struck the call that is being answered, ``""`` for nothing; ``odd_answer`` what the transport
    has to make of it.
    """

    def __init__(self, plans: Sequence[FaultPlan], clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self._scheduled = [_Scheduled(plan, _emulated(plan)) for plan in plans]
        self.call_number = 0
        self.struck = NOTHING_STRUCK
        self.struck_target: str | None = None
        self.odd_answer = NOTHING_STRUCK

    def next_call(self) -> None:
        """Another call comes."""
        self.call_number += 1
        self.struck = self.odd_answer = NOTHING_STRUCK
        self.struck_target = None

    def stop(self) -> None:
        """No fault strikes any more."""
        self._scheduled.clear()

    def strike(self, call: Call) -> Fault | None:
        for each in self._scheduled:
            is_rule = each.fault is not None and each.fault.kind.stage == "rule"
            if not is_rule and each.strikes(call, self.call_number, self._clock.now):
                self._note(each)
                if each.fault is not None:
                    return each.fault
                self.odd_answer = each.plan.name
                return None
        return None

    def refuse(self, call: Call, reading: Reading) -> Fault | None:
        for each in self._scheduled:
            fault = each.fault
            if fault is None or fault.kind.stage != "rule" or not reading.breaks(fault):
                continue
            if each.strikes(call, self.call_number, self._clock.now):
                self._note(each)
                return fault
        return None

    def _note(self, each: _Scheduled) -> None:
        self.struck = each.plan.name
        self.struck_target = each.plan.target or dict(each.plan.options).get("thread_id")


def _emulated(plan: FaultPlan) -> Fault | None:
    if plan.name in ODD_ANSWERS:
        return None
    return Fault(plan.name, route=plan.route, **dict(plan.options))


def odd_answer(name: str, route: str, body: Any) -> Any:
    """What a 200 without what was asked for looks like, made of the ordinary answer."""
    match name:
        case "old_style_error":
            return {"error_code": 1, "error_msg": "An unknown error occurred"}
        case "foreign_object":
            return {"id": "999999", "updated_time": "2025-11-20T00:00:00+0000"}
        case "messages_missing":
            return _without_messages(body)
        case "null_rows":
            return {"data": [None]} if "data" in body else {"id": None, "messages": {"data": [None]}}
        case "empty_messages_edge":
            return {**body, "messages": {}} if route == "conversation" else {"paging": body.get("paging", {})}
    return {}


def _without_messages(body: Any) -> Any:
    if "data" in body:
        return {**body, "data": [{k: v for k, v in row.items() if k != "messages"} for row in body["data"]]}
    return {name: value for name, value in body.items() if name != "messages"}


def is_limit(name: str) -> bool:
    """Whether a fault is a rate limit."""
    return re.split("/", name)[0] in {"4", "17", "32", "341", "613", "80001", "80002", "80006"}
