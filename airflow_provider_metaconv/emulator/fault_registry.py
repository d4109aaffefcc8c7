"""The faults to come: which of them hold for a call."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from .calls import Call
from .fault_conditions import conditions_of
from .faults import WHOLE_ANSWERS, Fault, Stage
from .generate import seeded
from .reading import Reading
from .shapes import NO_SHAPES, Shapes
from .world import World


@dataclass(frozen=True, slots=True)
class Triggered:
    """The faults that one call meets: the one that decides it, and those that shape or change its answer."""

    decisive: Fault | None = None
    shapes: Shapes = NO_SHAPES
    changes: tuple[Fault, ...] = ()
    headers: tuple[Fault, ...] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All of them, the decisive one first."""
        decisive = () if self.decisive is None else (self.decisive,)
        return (*decisive, *self.shapes.faults, *self.changes, *self.headers)


NOTHING_TRIGGERED = Triggered()


class _Armed:
    """A fault with its count of calls seen and of strikes."""

    def __init__(self, fault: Fault, added_at: float) -> None:
        self.fault = fault
        self.seen = 0
        self.struck = 0
        self._begins = added_at + fault.from_seconds
        self._ends = math.inf if fault.until_seconds is None else added_at + fault.until_seconds
        self._conditions = conditions_of(fault)
        self._random: Random | None = seeded("fault", fault.seed) if fault.probability < 1 else None

    def triggers(self, call: Call, reading: Reading, now: float) -> bool:
        """Whether the fault holds for a call, which is counted if the fault is about it."""
        fault = self.fault
        if not self._begins <= now < self._ends or (fault.times is not None and self.struck >= fault.times):
            return False
        for condition in self._conditions:
            if not condition(call, reading):
                return False
        self.seen += 1
        number = self.seen - fault.after_calls
        if number < 1 or (number - 1) % fault.every:
            return False
        if self._random is not None and self._random.random() >= fault.probability:
            return False
        self.struck += 1
        return True


class FaultRegistry:
    """The faults to come; of those that decide a call the first one counts, the others add up."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._armed: list[_Armed] = []
        self._by_stage: dict[Stage, list[_Armed]] = {}

    def add(self, fault: Fault) -> None:
        """Add one fault behind those that are there; its seconds begin now."""
        armed = _Armed(fault, self._clock())
        self._armed.append(armed)
        self._by_stage.setdefault(fault.kind.stage, []).append(armed)

    def clear(self) -> None:
        """Forget all faults."""
        self._armed.clear()
        self._by_stage.clear()

    def rows(self) -> list[dict[str, Any]]:
        """Return the faults with their counters, JSON-ready."""
        return [{**dataclasses.asdict(each.fault), "seen": each.seen, "struck": each.struck} for each in self._armed]

    def trigger(self, call: Call, world: World, now: float) -> Triggered:
        """Return the faults that hold for this call."""
        if not self._armed:
            return NOTHING_TRIGGERED
        shapes = self._triggered("shape", call, Reading(call, world, NO_SHAPES), now)
        shaped = Shapes(shapes, call.route) if shapes else NO_SHAPES
        reading = Reading(call, world, shaped)
        decisive = self._decisive(call, reading, now)
        changes: tuple[Fault, ...] = ()
        if decisive is None or decisive.outcome not in WHOLE_ANSWERS:
            changes = self._triggered("change", call, reading, now)
        return Triggered(decisive, shaped, changes, self._triggered("header", call, reading, now))

    def _decisive(self, call: Call, reading: Reading, now: float) -> Fault | None:
        armed = self._by_stage.get("decisive", ())
        return next((each.fault for each in armed if each.triggers(call, reading, now)), None)

    def _triggered(self, stage: Stage, call: Call, reading: Reading, now: float) -> tuple[Fault, ...]:
        armed = self._by_stage.get(stage)
        return () if armed is None else tuple(each.fault for each in armed if each.triggers(call, reading, now))
