"""Which calls a fault is about: one row per property of `Fault` that narrows them down."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from .calls import Call
from .faults import CONVERSATION_FAULTS, Fault
from .reading import Reading

Condition = Callable[[Call, Reading], bool]


def conditions_of(fault: Fault) -> tuple[Condition, ...]:
    """Return what has to hold of a call, the cheapest first; a property that says nothing has no condition."""
    given = [condition(fault) for name, condition in PROPERTIES.items() if getattr(fault, name) is not None]
    if fault.name in CONVERSATION_FAULTS and fault.route is None:
        given.append(lambda call, _: call.is_conversation_api)
    if fault.kind.stage in ("shape", "change"):
        given.append(_shows(fault))
    elif fault.thread_id is not None:
        given.append(_reads(fault))
    if fault.name in KINDS:
        given.append(KINDS[fault.name](fault))
    return tuple(given)


def _match(fault: Fault) -> Condition:
    pattern = re.compile(fault.match or "")
    return lambda call, _: pattern.search(call.target) is not None


def _platform(fault: Fault) -> Condition:
    platform = (fault.platform or "").upper()
    return lambda call, _: call.platform == platform


def _folder(fault: Fault) -> Condition:
    folder = (fault.folder or "").lower()
    return lambda _, reading: reading.folder == folder


def _field(fault: Fault) -> Condition:
    name = fault.field or ""
    return lambda _, reading: reading.node_with(name) is not None


def _limit_over(fault: Fault) -> Condition:
    maximum = fault.limit_over or 0
    return lambda _, reading: reading.is_reading and reading.limit > maximum


def _nested_limit_over(fault: Fault) -> Condition:
    maximum = fault.nested_limit_over or 0
    return lambda _, reading: (reading.nested_limit or 0) > maximum


def _more_than(fault: Fault) -> Condition:
    maximum = fault.more_than or 0
    return lambda _, reading: reading.is_reading and reading.limit * (reading.nested_limit or 1) > maximum


PROPERTIES: Mapping[str, Callable[[Fault], Condition]] = {
    "page_id": lambda fault: lambda call, _: call.page_id == fault.page_id,
    "platform": _platform,
    "route": lambda fault: lambda call, _: call.route == fault.route,
    "match": _match,
    "folder": _folder,
    "field": _field,
    "limit_over": _limit_over,
    "nested_limit_over": _nested_limit_over,
    "more_than": _more_than,
}


def _place(call: Call) -> str | None:
    return call.parameters.get("after") or call.parameters.get("__paging_token")


def _has_old_messages(fault: Fault) -> Condition:
    reaches = fault.reaches
    return lambda _, reading: reading.has_old_messages(reaches, ids_too=fault.ids_too)


# Kinds that are narrowed down by what they are.
KINDS: Mapping[str, Callable[[Fault], Condition]] = {
    "too_much_data": _more_than,
    "beyond_detailed": _has_old_messages,
    "repeated_cursor": lambda _: lambda call, _reading: bool(call.parameters.get("after")),
    "ignored_cursor": lambda _: lambda call, _reading: bool(_place(call)),
}


def _reads(fault: Fault) -> Condition:
    thread_id, reaches = fault.thread_id or "", fault.reaches
    return lambda _, reading: reading.contains(thread_id, reaches)


def _shows(fault: Fault) -> Condition:
    """Return whether an answer has what a shape or a change is about: one of the edges, and the conversation."""
    kind, thread_id = fault.kind, fault.thread_id
    edges = frozenset(kind.edges if fault.edge is None else (fault.edge,))
    may_nest = kind.nested and "messages" in edges

    def shows(call: Call, reading: Reading) -> bool:
        if thread_id is not None and not reading.is_list and call.object_id != thread_id:
            return False
        return not edges or call.route in edges or (may_nest and reading.nested_limit is not None)

    return shows
