"""Faults as data: what goes wrong, for which calls, when and how often; and the conditions that select the calls.

Graph errors are rows of `errors.ERRORS`, other complete responses rows of `errors.ODD_ANSWERS`, and all other faults
rows of `FAULT_KINDS`; the fault's stage determines where it takes effect.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .errors import ERRORS, ODD_ANSWERS
from .requests import Call, Reading

Stage = Literal["decisive", "shape", "change", "header"]
Reach = Literal["alone", "nested_lists", "lists"]
EDGES = ("conversations", "messages")
REACHES = ("alone", "nested_lists", "lists")


@dataclass(frozen=True)
class FaultKind:
    """One kind of fault: the stage of a call at which it takes effect, and what it does.

    Of the ``decisive`` faults, which determine the whole response, only the first one takes effect; ``shape``,
    ``change`` and ``header`` faults add up. ``edges`` are the lists that a shape or change affects unless a fault
    names one (empty: any response). ``nested`` says whether it affects nested lists, too. ``reach`` lists the calls
    that a fault of one conversation affects, ``needs`` the required properties of a fault of this kind.
    """

    stage: Stage
    description: str
    answers: str = ""
    edges: tuple[str, ...] = EDGES
    nested: bool = True
    reach: tuple[Reach, ...] = ("alone",)
    needs: tuple[str, ...] = ()


FAULT_KINDS: dict[str, FaultKind] = {
    # Errors that depend on the requested data.
    "too_much_data": FaultKind("decisive", "error (code 1) if limit times nested limit exceeds more_than", "1"),
    "poisoned_thread": FaultKind(
        "decisive",
        "error (code 1) for list pages with nested data of thread_id (light: all list pages; alone: direct reads, too)",
        "1",
        reach=("nested_lists",),
        needs=("thread_id",),
    ),
    "beyond_detailed": FaultKind(
        "decisive",
        "Instagram: error (9000001) for messages beyond the 20 newest, if more than ID and time is requested "
        "(ids_too: always)",
        "9000001",
    ),
    # The normal response, late or incomplete.
    "hang": FaultKind("decisive", "waits delay_seconds before the normal response"),
    "reset_before": FaultKind("decisive", "resets the connection before the response"),
    "reset_middle": FaultKind("decisive", "resets the connection in the middle of the body"),
    "truncated_gzip": FaultKind("decisive", "a truncated gzip body"),
    "truncated_json": FaultKind("decisive", "a truncated JSON body"),
    "redirect": FaultKind("decisive", "HTTP 302 to url, another host"),
    # The size of pages, and how lists end.
    "short_page": FaultKind("shape", "a page has half the requested rows, and next", nested=False),
    "page_size": FaultKind("shape", "a page has at most size rows, regardless of limit", needs=("size",)),
    "first_page": FaultKind(
        "shape", "the first page of a list has at most size rows; later pages are normal", needs=("size",)
    ),
    "empty_tail": FaultKind("shape", "next of the last page leads to an empty page without next"),
    "empty_self_tail": FaultKind("shape", "next of the last page leads to an empty page whose next is itself"),
    "self_tail": FaultKind("shape", "next of the last page leads to the same page"),
    "same_cursors": FaultKind("shape", "before and after of a page are the same cursor"),
    "ignored_cursor": FaultKind("shape", "the cursor is ignored: the first page is returned again", nested=False),
    "time_paging": FaultKind("shape", "paging by until and __paging_token, without cursors", edges=("messages",)),
    # Changes to a normal response.
    "empty_page": FaultKind("change", "an empty page with next; the rows follow on the next page", nested=False),
    "repeated_cursor": FaultKind("change", "next leads to the same page again", nested=False),
    "unordered_page": FaultKind("change", "the rows of a page are sorted oldest first", nested=False),
    "foreign_next": FaultKind("change", "next points to another host", nested=False),
    "no_paging_next": FaultKind("change", "next is missing although there are more rows", nested=False),
    "null_row": FaultKind("change", "null among the rows of a list (at position; default: the middle)"),
    "null_rows": FaultKind("change", "every row of a list is null"),
    "missing_data": FaultKind("change", "a list has paging but no data"),
    "missing_messages": FaultKind("change", "conversations without the requested messages"),
    "foreign_object": FaultKind("change", "HTTP 200 with another object, whose ID is object_id", edges=()),
    "unix_times": FaultKind("change", "times are UNIX seconds, in every row or every every_row-th row", edges=()),
    "stale_updated_time": FaultKind(
        "change",
        "one row's updated_time is seconds too old: the row of thread_id or at position (default: the middle)",
        edges=(),
    ),
    # Usage headers.
    "usage": FaultKind("header", "the usage header reports percent and regain_minutes"),
    "foreign_usage": FaultKind(
        "header",
        "the usage header also reports percent and regain_minutes of object_id (default: an ads account), type pool",
    ),
}
# Limits of the Conversations API: they do not affect the Page node and /me unless route is set.
CONVERSATION_FAULTS = frozenset({"613", "613/1996", "80002", "80006"})
FAULTS: Mapping[str, FaultKind] = {
    **{name: FaultKind("decisive", row.body["error"]["message"], name) for name, row in ERRORS.items()},
    **{name: FaultKind("decisive", row.description, name) for name, row in ODD_ANSWERS.items()},
    **FAULT_KINDS,
}
# Responses that replace Graph's; `error` may also name what happens to a response on its way.
WHOLE_ANSWERS = frozenset({*ERRORS, *ODD_ANSWERS})
DECISIVE = frozenset(name for name, kind in FAULT_KINDS.items() if kind.stage == "decisive" and not kind.answers)
OUTCOMES = WHOLE_ANSWERS | DECISIVE


@dataclass(frozen=True)
class Fault:
    """One fault to inject; raises ValueError for an invalid one.

    **Which calls.** Calls that match ``page_id``, ``platform``, ``route`` and ``match`` (a regular expression for path
    and query), that request ``folder``, ``field`` (a name at any depth), more than ``limit_over`` rows, more than
    ``nested_limit_over`` nested messages or more than ``more_than`` of both multiplied, and that read ``thread_id``.
    ``reach`` lists the calls about that conversation: ``alone`` (its node and its messages), ``nested_lists``, or all
    ``lists`` whose page contains it. For shapes and changes, ``thread_id`` is the conversation whose data changes, and
    ``edge`` the kind of list.

    **When.** From ``from_seconds`` until ``until_seconds`` after it was added, by the emulator's clock. Of the calls
    that match, the first ``after_calls`` are normal; then every ``every``-th one triggers the fault with
    ``probability``, at most ``times`` times.

    ``error`` names another response for kinds that determine the whole response. ``text``, ``user_title`` and
    ``user_message`` go into an error's body. ``regain_minutes`` goes into the usage header; ``block_seconds`` blocks
    the Page (or the app) with the same error. The other properties belong to single kinds, see `FAULTS`.
    """

    name: str
    times: int | None = None
    after_calls: int = 0
    every: int = 1
    probability: float = 1.0
    seed: int = 1
    from_seconds: float = 0.0
    until_seconds: float | None = None
    page_id: str | None = None
    platform: str | None = None
    route: str | None = None
    match: str | None = None
    folder: str | None = None
    field: str | None = None
    limit_over: int | None = None
    nested_limit_over: int | None = None
    more_than: int | None = None
    thread_id: str | None = None
    reach: Sequence[Reach] | None = None
    light: bool = False
    alone: bool = False
    edge: str | None = None
    error: str | None = None
    status: int | None = None
    text: str | None = None
    user_title: str | None = None
    user_message: str | None = None
    regain_minutes: int | None = None
    block_seconds: float | None = None
    delay_seconds: float = 3_600.0
    size: int | None = None
    position: int | None = None
    every_row: int = 1
    seconds: int = 86_400
    object_id: str | None = None
    pool: str = "ads_management"
    ids_too: bool = False
    percent: int = 100
    url: str = "https://elsewhere.example"

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"unknown fault {self.name!r}; known faults: {', '.join(FAULTS)}")
        if problem := self._problem():
            raise ValueError(problem)

    def _problem(self) -> str | None:
        if missing := [needed for needed in self.kind.needs if getattr(self, needed) is None]:
            return f"{self.name} requires {missing[0]}"
        if self.match is not None and not _is_pattern(self.match):
            return f"match must be a regular expression, not {self.match!r}"
        if min(self.every, self.every_row, 1 if self.size is None else self.size) < 1:
            return "every, every_row and size must be at least 1"
        if self.edge is not None and self.edge not in EDGES:
            return f"edge must be one of {', '.join(EDGES)}"
        if unknown := sorted(set(self.reach or ()) - set(REACHES)):
            return f"reach must contain only {', '.join(REACHES)}, not {unknown}"
        if self.error is not None and (self.error not in OUTCOMES or self.kind.stage != "decisive"):
            return (
                f"error of {self.name} must be left out or, for a decisive fault, one of {', '.join(sorted(OUTCOMES))}"
            )
        return None

    @staticmethod
    def from_mapping(row: Mapping[str, Any]) -> Fault:
        """Return a fault given by ``name`` or by ``code`` and ``subcode``; raises ValueError for an invalid one."""
        values = dict(row)
        code, subcode = values.pop("code", None), values.pop("subcode", None)
        if code is not None:
            values.setdefault("name", str(code) if subcode is None else f"{code}/{subcode}")
        known = {each.name for each in dataclasses.fields(Fault)}
        unknown = sorted(set(values) - known)
        if unknown or "name" not in values:
            raise ValueError(
                f"a fault requires a name; unknown properties: {unknown}; known properties: {', '.join(sorted(known))}"
            )
        return Fault(**{**values, "name": str(values["name"])})

    @property
    def kind(self) -> FaultKind:
        """The kind of the fault."""
        return FAULTS[self.name]

    @property
    def outcome(self) -> str:
        """The name of the response, or of what happens to the normal one."""
        return self.error or self.kind.answers or self.name

    @property
    def reaches(self) -> frozenset[str]:
        """The calls that a fault of one conversation affects."""
        asked = self.kind.reach if self.reach is None else tuple(self.reach)
        more = (("alone", self.alone), ("lists", self.light))
        return frozenset((*asked, *(name for name, wanted in more if wanted)))


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


Condition = Callable[[Call, Reading], bool]


def conditions_of(fault: Fault) -> tuple[Condition, ...]:
    """Return the conditions that a call has to meet, cheapest first; properties that are None have no condition."""
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


# Conditions of single kinds.
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
    """Return the condition that a response contains an edge, and the conversation, that a shape or change affects."""
    kind, thread_id = fault.kind, fault.thread_id
    edges = frozenset(kind.edges if fault.edge is None else (fault.edge,))
    may_nest = kind.nested and "messages" in edges

    def shows(call: Call, reading: Reading) -> bool:
        if thread_id is not None and not reading.is_list and call.object_id != thread_id:
            return False
        return not edges or call.route in edges or (may_nest and reading.nested_limit is not None)

    return shows
