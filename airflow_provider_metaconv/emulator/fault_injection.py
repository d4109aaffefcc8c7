"""Fault injection: which faults a call triggers, and how they change its response."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from .dataset import seeded
from .errors import ERRORS, TEMPLATES, Body, GraphError
from .faults import WHOLE_ANSWERS, Fault, Stage, conditions_of
from .models import World
from .pagination import NEWER_THAN_ALL, NO_SHAPES, Shapes, from_cursor, to_cursor
from .requests import Call, Reading
from .serialization import graph_time, to_json

FIRST_FIELD = "x"
USUAL_MAXIMUM = 100
FOREIGN_ID = "t_1000000000000000"
TIME_FIELDS = {"updated_time": "conversations", "created_time": "messages"}


@dataclass(frozen=True, slots=True)
class Triggered:
    """The faults that one call triggered: the decisive one, and those that shape or change its response."""

    decisive: Fault | None = None
    shapes: Shapes = NO_SHAPES
    changes: tuple[Fault, ...] = ()
    headers: tuple[Fault, ...] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All triggered faults, the decisive one first."""
        decisive = () if self.decisive is None else (self.decisive,)
        return (*decisive, *self.shapes.faults, *self.changes, *self.headers)


NOTHING_TRIGGERED = Triggered()


class _Armed:
    """A fault with the number of calls it matched and triggered on."""

    def __init__(self, fault: Fault, added_at: float) -> None:
        self.fault = fault
        self.seen = 0
        self.triggered = 0
        self._begins = added_at + fault.from_seconds
        self._ends = math.inf if fault.until_seconds is None else added_at + fault.until_seconds
        self._conditions = conditions_of(fault)
        self._random: Random | None = seeded("fault", fault.seed) if fault.probability < 1 else None

    def triggers(self, call: Call, reading: Reading, now: float) -> bool:
        """Whether a call triggers the fault; counts calls that match."""
        fault = self.fault
        if not self._begins <= now < self._ends or (fault.times is not None and self.triggered >= fault.times):
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
        self.triggered += 1
        return True


class FaultRegistry:
    """The injected faults. Of the decisive faults that a call triggers, only the first takes effect; others add up."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._armed: list[_Armed] = []
        self._by_stage: dict[Stage, list[_Armed]] = {}

    def add(self, fault: Fault) -> None:
        """Add a fault after the existing ones; its seconds begin now."""
        armed = _Armed(fault, self._clock())
        self._armed.append(armed)
        self._by_stage.setdefault(fault.kind.stage, []).append(armed)

    def clear(self) -> None:
        """Remove all faults."""
        self._armed.clear()
        self._by_stage.clear()

    def rows(self) -> list[dict[str, Any]]:
        """Return the faults and how many calls they matched and triggered on, JSON-ready."""
        return [
            {**dataclasses.asdict(each.fault), "seen": each.seen, "triggered": each.triggered} for each in self._armed
        ]

    def trigger(self, call: Call, world: World, now: float) -> Triggered:
        """Return the faults that the call triggers."""
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


def fault_error(fault: Fault, call: Call, reading: Reading) -> GraphError:
    """Return a fault's error: its row of `ERRORS`, with the fault's texts and the call's names."""
    row = ERRORS[fault.outcome]
    error: Body = dict(row.body["error"])
    if fault.outcome in TEMPLATES:
        field = fault.field or FIRST_FIELD
        error["message"] = TEMPLATES[fault.outcome].format(
            field=field,
            node=reading.node_with(field) or "UnifiedThread",
            limit=fault.limit_over or fault.nested_limit_over or USUAL_MAXIMUM,
            id=call.object_id,
        )
    given = {"message": fault.text, "error_user_title": fault.user_title, "error_user_msg": fault.user_message}
    error.update({name: text for name, text in given.items() if text is not None})
    return GraphError(fault.status or row.status, {"error": error})


Node = dict[str, Any]


def change_answer(faults: Sequence[Fault], call: Call, text: str) -> str:
    """Return the response, changed by each fault in turn."""
    body = json.loads(text)
    for fault in faults:
        CHANGES[fault.name](fault, call, body)
    return to_json(body)


def _nodes(fault: Fault, call: Call, body: Node) -> list[Node]:
    """Return the conversations in a response that the fault affects."""
    rows = [body] if call.route == "conversation" else []
    if call.route == "conversations":
        rows = [row for row in body.get("data", ()) if isinstance(row, dict)]
    return [row for row in rows if fault.thread_id in (None, row.get("id"))]


def _lists(fault: Fault, call: Call, body: Node) -> Iterator[Node]:
    """Yield the lists in a response that the fault affects: the response itself, then the nested ones."""
    edges = fault.kind.edges if fault.edge is None else (fault.edge,)
    # A fault of one conversation does not affect the list that contains it.
    if call.route in edges and (fault.thread_id is None or call.route == "messages"):
        yield body
    if "messages" in edges:
        yield from (row["messages"] for row in _nodes(fault, call, body) if isinstance(row.get("messages"), dict))


def _empty_page(_: Fault, call: Call, body: Node) -> None:
    # The cursor looks new but has the position of the call, so the rows follow on the next page.
    after = call.parameters.get("after")
    place, tie = from_cursor(after) if after else (NEWER_THAN_ALL, "0")
    cursor = to_cursor(place, tie, f"empty {zlib.crc32((after or '').encode())}")
    query = {"access_token": call.token or "", "pretty": "0", **call.parameters, "after": cursor}
    query.pop("appsecret_proof", None)
    route = f"{call.base_url}/{call.object_id}/{call.route}"
    body["data"] = []
    body["paging"] = {
        "cursors": {"before": cursor, "after": cursor},
        "next": f"{route}?{urlencode(query, quote_via=quote)}",
    }


def _repeated_cursor(_: Fault, call: Call, body: Node) -> None:
    same = call.parameters["after"]
    paging = body.setdefault("paging", {})
    paging.setdefault("cursors", {"before": same})["after"] = same
    route = f"{call.base_url}/{call.object_id}/{call.route}"
    paging["next"] = f"{route}?{urlencode({**call.parameters, 'after': same}, quote_via=quote)}"


def _foreign_next(fault: Fault, _: Call, body: Node) -> None:
    following = body.get("paging", {}).get("next")
    if following is not None:
        parts, elsewhere = urlsplit(following), urlsplit(fault.url)
        query = urlencode(parse_qsl(parts.query), quote_via=quote)
        body["paging"]["next"] = urlunsplit((elsewhere.scheme, elsewhere.netloc, parts.path, query, ""))


def _no_paging_next(_: Fault, _call: Call, body: Node) -> None:
    body.get("paging", {}).pop("next", None)


def _unordered_page(_: Fault, _call: Call, body: Node) -> None:
    body["data"] = body.get("data", [])[::-1]


def _null_row(fault: Fault, call: Call, body: Node) -> None:
    for found in _lists(fault, call, body):
        rows = found.get("data", [])
        rows.insert(len(rows) // 2 if fault.position is None else fault.position, None)


def _null_rows(fault: Fault, call: Call, body: Node) -> None:
    # Evaluated first, because nested lists disappear with their rows.
    for found in list(_lists(fault, call, body)):
        found["data"] = [None] * len(found.get("data", ()))


def _missing_data(fault: Fault, call: Call, body: Node) -> None:
    for found in list(_lists(fault, call, body)):
        found.pop("data", None)


def _missing_messages(fault: Fault, call: Call, body: Node) -> None:
    for node in _nodes(fault, call, body):
        node.pop("messages", None)


def _foreign_object(fault: Fault, call: Call, body: Node) -> None:
    identifier = fault.object_id or FOREIGN_ID
    if call.route == "conversations" and fault.thread_id is not None:
        for node in _nodes(fault, call, body):
            node["id"] = identifier
        return
    if "data" in body:  # a list becomes a single object
        body.clear()
    body["id"] = identifier


def _unix_times(fault: Fault, call: Call, body: Node) -> None:
    numbers = itertools.count()
    for node in [body] if fault.thread_id is None or call.route == "messages" else _nodes(fault, call, body):
        for row, name in _times(node):
            if fault.edge in (None, TIME_FIELDS[name]) and next(numbers) % fault.every_row == 0:
                row[name] = _seconds(row[name])


def _times(value: Any) -> Iterator[tuple[Node, str]]:
    """Yield each row that has a time, with the name of the field."""
    if isinstance(value, list):
        for each in value:
            yield from _times(each)
    elif isinstance(value, dict):
        yield from ((value, name) for name in TIME_FIELDS if name in value)
        for each in value.values():
            if isinstance(each, dict | list):
                yield from _times(each)


def _seconds(time: str | int) -> int:
    return time if isinstance(time, int) else int(datetime.fromisoformat(time).timestamp())


def _stale_updated_time(fault: Fault, call: Call, body: Node) -> None:
    nodes = [node for node in _nodes(fault, call, body) if "updated_time" in node]
    if fault.thread_id is None and nodes:
        place = len(nodes) // 2 if fault.position is None else fault.position
        nodes = [nodes[min(max(place, -len(nodes)), len(nodes) - 1)]]
    for node in nodes:
        time = node["updated_time"]
        older = _seconds(time) - fault.seconds
        node["updated_time"] = older if isinstance(time, int) else graph_time(older)


CHANGES: Mapping[str, Callable[[Fault, Call, Node], None]] = {
    "empty_page": _empty_page,
    "repeated_cursor": _repeated_cursor,
    "foreign_next": _foreign_next,
    "no_paging_next": _no_paging_next,
    "unordered_page": _unordered_page,
    "null_row": _null_row,
    "null_rows": _null_rows,
    "missing_data": _missing_data,
    "missing_messages": _missing_messages,
    "foreign_object": _foreign_object,
    "unix_times": _unix_times,
    "stale_updated_time": _stale_updated_time,
}
