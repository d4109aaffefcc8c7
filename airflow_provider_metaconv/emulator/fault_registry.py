"""The faults to come: which of them hold for a call."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from .calls import Call
from .faults import CONVERSATION_FAULTS, Fault
from .generate import seeded
from .reading import Reading
from .shapes import NO_SHAPES, Shapes
from .world import World

DECIDING_STAGES = frozenset({"answer", "request", "wire"})


@dataclass(frozen=True, slots=True)
class Triggered:
    """The faults that one call meets: the one that decides it, and those that shape or change its answer."""

    decisive: Fault | None = None
    shapes: Shapes = NO_SHAPES
    changes: tuple[Fault, ...] = ()
    headers: tuple[Fault, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of them all."""
        decisive = () if self.decisive is None else (self.decisive,)
        return [fault.name for fault in (*decisive, *self.shapes.faults, *self.changes, *self.headers)]


NOTHING_TRIGGERED = Triggered()


class _Armed:
    """A fault with its count of calls seen and of strikes."""

    def __init__(self, fault: Fault, added_at: float) -> None:
        self.fault = fault
        self.seen = 0
        self.struck = 0
        self._begins = added_at + fault.from_seconds
        self._ends = float("inf") if fault.until_seconds is None else added_at + fault.until_seconds
        self._reaches = fault.reaches
        self._pattern = None if fault.match is None else re.compile(fault.match)
        self._random: Random | None = seeded("fault", fault.seed) if fault.probability < 1 else None

    def triggers(self, call: Call, reading: Reading, now: float) -> bool:
        """Whether the fault holds for a call, which is counted if the fault is about it."""
        if not self._begins <= now < self._ends or (self.fault.times is not None and self.struck >= self.fault.times):
            return False
        return self._fits_call(call) and self._fits_reading(call, reading) and self._is_due()

    def _is_due(self) -> bool:
        fault = self.fault
        self.seen += 1
        number = self.seen - fault.after_calls
        if number < 1 or (number - 1) % fault.every:
            return False
        if self._random is not None and self._random.random() >= fault.probability:
            return False
        self.struck += 1
        return True

    def _fits_call(self, call: Call) -> bool:
        fault = self.fault
        if fault.page_id is not None and fault.page_id != call.page_id:
            return False
        if fault.platform is not None and fault.platform.upper() != call.platform:
            return False
        if fault.route is not None and fault.route != call.route:
            return False
        if fault.name in CONVERSATION_FAULTS and fault.route is None and not call.is_conversation_api:
            return False
        if fault.name == "repeated_cursor" and not call.parameters.get("after"):
            return False
        return self._pattern is None or self._pattern.search(call.target) is not None

    def _fits_reading(self, call: Call, reading: Reading) -> bool:
        fault = self.fault
        if not all(condition(fault, reading, self._reaches) for condition in CONDITIONS):
            return False
        if fault.kind.stage in ("shape", "change"):
            return _shows(fault, call, reading)
        return fault.thread_id is None or reading.contains(fault.thread_id, self._reaches)


Condition = Callable[[Fault, Reading, frozenset[str]], bool]


def _more_than(fault: Fault, reading: Reading, _: frozenset[str]) -> bool:
    if fault.more_than is None and fault.name != "too_much_data":
        return True
    return reading.is_reading and reading.limit * (reading.nested_limit or 1) > (fault.more_than or 0)


CONDITIONS: tuple[Condition, ...] = (
    lambda fault, reading, _: fault.folder is None or fault.folder.lower() == reading.folder,
    lambda fault, reading, _: fault.field is None or reading.node_with(fault.field) is not None,
    lambda fault, reading, _: fault.limit_over is None or (reading.is_reading and reading.limit > fault.limit_over),
    lambda fault, reading, _: fault.nested_limit_over is None or (reading.nested_limit or 0) > fault.nested_limit_over,
    _more_than,
    lambda fault, reading, reaches: (
        fault.name != "beyond_detailed" or reading.has_old_messages(reaches, ids_too=fault.ids_too)
    ),
)


def _shows(fault: Fault, call: Call, reading: Reading) -> bool:
    """Whether an answer has what a shape or a change is about: one of the edges, and the conversation."""
    if fault.thread_id is not None and not reading.is_list and call.object_id != fault.thread_id:
        return False
    edges = fault.kind.edges if fault.edge is None else (fault.edge,)
    nested = fault.kind.nested and reading.nested_limit is not None
    return not edges or call.route in edges or ("messages" in edges and nested)


class FaultRegistry:
    """The faults to come; of those that decide a call the first one counts, the others add up."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._armed: list[_Armed] = []

    def add(self, fault: Fault) -> None:
        """Add one fault behind those that are there; its seconds begin now."""
        self._armed.append(_Armed(fault, self._clock()))

    def clear(self) -> None:
        """Forget all faults."""
        self._armed.clear()

    def rows(self) -> list[dict[str, Any]]:
        """Return the faults with their counters, JSON-ready."""
        return [{**dataclasses.asdict(each.fault), "seen": each.seen, "struck": each.struck} for each in self._armed]

    def trigger(self, call: Call, world: World, now: float) -> Triggered:
        """Return the faults that hold for this call."""
        if not self._armed:
            return NOTHING_TRIGGERED
        unshaped = Reading(call, world, NO_SHAPES)
        shapes = self._triggered("shape", call, unshaped, now)
        shaped = Shapes(shapes, call.route) if shapes else NO_SHAPES
        reading = Reading(call, world, shaped)
        decisive = self._decisive(call, reading, now)
        changes: tuple[Fault, ...] = ()
        if decisive is None or decisive.kind.stage != "answer":
            changes = self._triggered("change", call, reading, now)
        return Triggered(decisive, shaped, changes, self._triggered("header", call, reading, now))

    def _decisive(self, call: Call, reading: Reading, now: float) -> Fault | None:
        for each in self._armed:
            if each.fault.kind.stage in DECIDING_STAGES and each.triggers(call, reading, now):
                return each.fault
        return None

    def _triggered(self, stage: str, call: Call, reading: Reading, now: float) -> tuple[Fault, ...]:
        return tuple(
            each.fault for each in self._armed if each.fault.kind.stage == stage and each.triggers(call, reading, now)
        )
