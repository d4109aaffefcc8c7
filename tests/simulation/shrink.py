"""Shrinks a failing scenario to the smallest one that still fails in the same way."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tests.simulation.attempts import simulate
from tests.simulation.findings import Finding
from tests.simulation.scenario import ConversationPlan, FaultPlan, Scenario, WorldPlan

MOST_RUNS = 600
Item = TypeVar("Item")


def signature(finding: Finding) -> str:
    """What findings with the same cause have in common: their text without numbers and names."""
    text = re.sub(r"\[[^]]*\]|\bm?_?t_\w+|\d+", "N", finding.text)
    return f"{finding.guarantee}: {re.sub(r'N(, N)+', 'N', text)[:90]}"


def shrink(scenario: Scenario, most_runs: int = MOST_RUNS) -> Scenario:
    """The smallest scenario found within ``most_runs`` runs that has the same first finding."""
    findings = simulate(scenario).findings
    if not findings:
        return scenario
    wanted, left = signature(findings[0]), most_runs

    def fails(candidate: Scenario) -> bool:
        return any(signature(each) == wanted for each in simulate(candidate).findings)

    is_smaller = True
    while is_smaller and left > 0:
        is_smaller = False
        for change in _CHANGES:
            for candidate in _until_exhausted(scenario, change):
                left -= 1
                if left < 0:
                    return scenario
                if fails(candidate.scenario):
                    scenario, is_smaller = candidate.take(), True
    return scenario


@dataclasses.dataclass
class _Candidate:
    scenario: Scenario
    taken: bool = False

    def take(self) -> Scenario:
        self.taken = True
        return self.scenario


def _until_exhausted(scenario: Scenario, change: Callable[[Scenario], Iterator[Scenario]]) -> Iterator[_Candidate]:
    """The candidates for one kind of change, starting over from each accepted one."""
    while True:
        for smaller in change(scenario):
            if smaller == scenario:
                continue
            candidate = _Candidate(smaller)
            yield candidate
            if candidate.taken:
                scenario = smaller
                break
        else:
            return


def _fewer(items: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
    """The items without each half, each quarter, ... and each single item."""
    size = len(items)
    while size >= 1:
        for start in range(0, len(items), size):
            yield (*items[:start], *items[start + size :])
        size //= 2


def _fewer_events(scenario: Scenario) -> Iterator[Scenario]:
    for name in ("faults", "crashes", "storage_faults", "damages"):
        for fewer in _fewer(getattr(scenario, name)):
            yield _with(scenario, **{name: fewer})
    for name in ("has_earlier_result", "has_earlier_window", "hashes_ids"):
        if getattr(scenario, name):
            yield _with(scenario, **{name: False})
    if scenario.erasure is not None:
        yield _with(scenario, erasure=None)
        yield _with(scenario, erasure=dataclasses.replace(scenario.erasure, kills=()))


def _smaller_world(scenario: Scenario) -> Iterator[Scenario]:
    world = scenario.world
    for name in ("conversations", "arrivals", "unsent"):
        for fewer in _fewer(getattr(world, name)):
            yield _with_world(scenario, **{name: fewer})
    for number, conversation in enumerate(world.conversations):
        for messages in _fewer(conversation.messages) if len(conversation.messages) > 1 else ():
            if messages:
                smaller = dataclasses.replace(conversation, messages=messages)
                yield _with_conversation(scenario, number, smaller)
        plain = ConversationPlan(conversation.id, conversation.messages, conversation.folder)
        for field in ("people", "content", "bare"):
            plainer = dataclasses.replace(conversation, **{field: getattr(plain, field)})
            yield _with_conversation(scenario, number, plainer)


def _with_conversation(scenario: Scenario, number: int, conversation: ConversationPlan) -> Scenario:
    conversations = scenario.world.conversations
    return _with_world(scenario, conversations=(*conversations[:number], conversation, *conversations[number + 1 :]))


def _plainer_world(scenario: Scenario) -> Iterator[Scenario]:
    plain = WorldPlan()
    for field in dataclasses.fields(WorldPlan):
        if field.name not in ("conversations", "arrivals", "unsent"):
            yield _with_world(scenario, **{field.name: getattr(plain, field.name)})
    if scenario.sizes is not None:
        yield dataclasses.replace(scenario, sizes=None)


def _plainer_faults(scenario: Scenario) -> Iterator[Scenario]:
    for number, fault in enumerate(scenario.faults):
        for plainer in _plainer(fault):
            faults = (*scenario.faults[:number], plainer, *scenario.faults[number + 1 :])
            yield dataclasses.replace(scenario, faults=faults)
    for number, crash in enumerate(scenario.crashes):
        if crash.point > 1:
            sooner = dataclasses.replace(crash, point=crash.point - 1)
            crashes = (*scenario.crashes[:number], sooner, *scenario.crashes[number + 1 :])
            yield dataclasses.replace(scenario, crashes=crashes)


def _plainer(fault: FaultPlan) -> Iterator[FaultPlan]:
    changes: list[dict[str, Any]] = [
        {"calls": 1, "seconds": None},
        {"first_call": 1},
        {"first_call": max(1, fault.first_call // 2)},
        {"every": 1},
        {"route": None},
    ]
    if fault.calls is not None and fault.calls > 1:
        changes += [{"calls": fault.calls // 2}, {"calls": fault.calls - 1}]
    for change in changes:
        plainer = dataclasses.replace(fault, **change)
        if plainer != fault:
            yield plainer


def _with(scenario: Scenario, **changes: Any) -> Scenario:
    return dataclasses.replace(scenario, **changes)


def _with_world(scenario: Scenario, **changes: Any) -> Scenario:
    return dataclasses.replace(scenario, world=dataclasses.replace(scenario.world, **changes))


_CHANGES: tuple[Callable[[Scenario], Iterator[Scenario]], ...] = (
    _fewer_events,
    _smaller_world,
    _plainer_world,
    _plainer_faults,
)
