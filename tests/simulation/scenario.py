"""One scenario as plain values, with JSON input and output: what there is to read, what goes wrong, and when.

Times of messages and windows are whole seconds after ``START``. Calls are numbered from 1 across all attempts, storage
effects from 1 within each attempt.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

START = 1_763_596_800
"""2025-11-20T00:00:00Z"""

PAGE_ID = "100"

CrashKind = Literal["before", "after", "lost", "call"]
Content = Literal["", "attachments", "no_data", "other_id"]
Bare = Literal["", "id", "created_time"]
DamageKind = Literal["truncate", "flip", "value", "delete"]
Damaged = Literal["checkpoint", "segment", "part"]


@dataclass(frozen=True, slots=True)
class ConversationPlan:
    """One conversation, with the times of its messages in any order.

    ``people`` counts everybody in it. ``content``: what some of its messages have: attachments, attachments without
    ``data``, or another id of the business as their sender. ``bare``: what Meta leaves out of its first message.
    """

    id: str
    messages: tuple[int, ...]
    folder: str = "inbox"
    people: int = 2
    content: Content = ""
    bare: Bare = ""


@dataclass(frozen=True, slots=True)
class ArrivalPlan:
    """A message that appears after call number ``call``; ``conversation`` is an existing or a new id."""

    call: int
    conversation: str
    second: int


@dataclass(frozen=True, slots=True)
class UnsentPlan:
    """A message of a conversation is unsent after call number ``call``: it disappears from all responses."""

    call: int
    conversation: str


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """One fault from call number ``first_call`` on, for a number of calls or seconds, or (neither) permanently.

    ``target`` is the conversation that it concerns, ``options`` are further arguments of the emulator's ``Fault``.
    """

    name: str
    route: str | None = None
    target: str | None = None
    first_call: int = 1
    calls: int | None = None
    seconds: float | None = None
    every: int = 1
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """What there is to read, and how Meta returns it.

    ``habits`` are permanent behaviours, such as pages that Meta cuts; the Page is healthy with all of them. ``token``
    says whose token the connection has: a person's, the Page's own, or another Page's, which can see the Page if it
    is public.
    """

    platform: str = "MESSENGER"
    conversations: tuple[ConversationPlan, ...] = ()
    folders: tuple[str | None, ...] = (None,)
    since: int | None = None
    until: int = 700
    habits: tuple[FaultPlan, ...] = ()
    old_rows_have_time: bool = True
    arrivals: tuple[ArrivalPlan, ...] = ()
    unsent: tuple[UnsentPlan, ...] = ()
    token: Literal["user", "own", "other", "other_public"] = "user"

    @property
    def is_foreign(self) -> bool:
        """Whether the token belongs to another Page, so that nothing can be read."""
        return self.token in ("other", "other_public")


@dataclass(frozen=True, slots=True)
class CrashPlan:
    """``kill -9`` in one attempt: before or after a storage effect, or at a call of the attempt.

    ``lost``: after an effect whose bytes did not survive the crash.
    """

    attempt: int
    point: int
    kind: CrashKind


@dataclass(frozen=True, slots=True)
class StorageFaultPlan:
    """The storage fails in one attempt for a number of effects, before or after they have happened.

    ``reads``: reads fail instead of effects.
    """

    attempt: int
    effect: int
    happened: bool = False
    effects: int = 1
    reads: bool = False


@dataclass(frozen=True, slots=True)
class DamagePlan:
    """A file of the checkpoint is damaged before one attempt. ``place``: thousandths of its length, or of its values.

    Only files that no manifest names: damaging those would lose published data.
    """

    attempt: int
    file: Damaged
    kind: DamageKind
    place: int = 500


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """A person is erased once the window is complete. ``kills``: storage effects after which the erasure is killed."""

    person: int
    scope: Literal["conversation", "own"] = "conversation"
    kills: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """Messages before a second leave once the window is complete. ``kills`` as in ``ErasurePlan``."""

    cutoff: int
    kills: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """The whole input of one run of the simulation."""

    seed: int
    world: WorldPlan
    faults: tuple[FaultPlan, ...] = ()
    crashes: tuple[CrashPlan, ...] = ()
    storage_faults: tuple[StorageFaultPlan, ...] = ()
    damages: tuple[DamagePlan, ...] = ()
    sizes: tuple[int, int, int] | None = None
    has_earlier_result: bool = False
    has_earlier_window: bool = False
    accepts_partial: bool = False
    hashes_ids: bool = False
    erasure: ErasurePlan | None = None
    retention: RetentionPlan | None = None

    def to_json(self) -> str:
        """The scenario as one JSON object, without default values."""
        return json.dumps(_plain(self), indent=1)

    @staticmethod
    def from_json(text: str) -> Scenario:
        """The scenario that ``to_json`` wrote."""
        content = json.loads(text)
        world = content["world"]
        lists = {"conversations": ConversationPlan, "arrivals": ArrivalPlan, "unsent": UnsentPlan, "habits": FaultPlan}
        for name, kind in lists.items():
            world[name] = tuple(kind(**_tuples(row)) for row in world.get(name, ()))
        content["world"] = WorldPlan(**_tuples(world))
        plans = {
            "faults": FaultPlan,
            "crashes": CrashPlan,
            "storage_faults": StorageFaultPlan,
            "damages": DamagePlan,
        }
        for name, kind in plans.items():
            content[name] = tuple(kind(**_tuples(row)) for row in content.get(name, ()))
        for name, plan in {"erasure": ErasurePlan, "retention": RetentionPlan}.items():
            if content.get(name) is not None:
                content[name] = plan(**_tuples(content[name]))
        return Scenario(**_tuples(content))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    fields = dataclasses.fields(value)
    return {f.name: _plain(given) for f in fields if (given := getattr(value, f.name)) != f.default}


def _tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _tuple(value) for name, value in row.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(each) for each in value) if isinstance(value, list) else value
