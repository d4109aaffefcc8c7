"""Faults as data: which trouble, for whose calls, when and how often.

An error answer is a row in `errors.ERRORS`, another whole answer a row in `odd_answers.ODD_ANSWERS`; every other
trouble is a row in `FAULT_KINDS`, carried out where its stage says.
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
    """One kind of trouble: at which stage of a call it happens, and what it does.

    Of the ``decisive`` faults, which decide about the whole answer, the first one counts; ``shape``, ``change`` and
    ``header`` faults add up. ``edges`` are the lists a shape or change is about unless a fault names one (none:
    it is about any answer), ``nested`` says whether it reaches nested lists, ``reach`` where a fault of one
    conversation is felt, ``needs`` what a fault of the kind has to say.
    """

    stage: Stage
    description: str
    answers: str = ""
    edges: tuple[str, ...] = EDGES
    nested: bool = True
    reach: tuple[Reach, ...] = ("alone",)
    needs: tuple[str, ...] = ()


FAULT_KINDS: dict[str, FaultKind] = {
    # Answers that depend on what is asked for.
    "too_much_data": FaultKind("decisive", "error (code 1) when limit x nested limit is more than more_than", "1"),
    "poisoned_thread": FaultKind(
        "decisive",
        "error (code 1) for each list page that nests data of thread_id (light: any list; alone: direct reads too)",
        "1",
        reach=("nested_lists",),
        needs=("thread_id",),
    ),
    "beyond_detailed": FaultKind(
        "decisive",
        "Instagram: error (9000001) for messages beyond the 20 newest, when more than id and time is asked "
        "(ids_too: always)",
        "9000001",
    ),
    # The ordinary answer, late or not whole.
    "hang": FaultKind("decisive", "waits delay_seconds before the ordinary answer"),
    "reset_before": FaultKind("decisive", "the connection is reset before the answer"),
    "reset_middle": FaultKind("decisive", "the connection is reset in the middle of the body"),
    "truncated_gzip": FaultKind("decisive", "a gzip body that ends too early"),
    "truncated_json": FaultKind("decisive", "a JSON body that ends too early"),
    "redirect": FaultKind("decisive", "HTTP 302 to url, another host"),
    # How lists are cut and how they end.
    "short_page": FaultKind("shape", "a page has half the rows asked for, and next", nested=False),
    "page_size": FaultKind("shape", "a page has at most size rows, whatever limit says", needs=("size",)),
    "first_page": FaultKind("shape", "only the first page of a list has at most size rows", needs=("size",)),
    "empty_tail": FaultKind("shape", "the last page has next, which leads to an empty page without next"),
    "empty_self_tail": FaultKind("shape", "the last page has next, which leads to an empty page that names itself"),
    "self_tail": FaultKind("shape", "the last page with rows names itself as next"),
    "same_cursors": FaultKind("shape", "before and after of a page are the same cursor"),
    "ignored_cursor": FaultKind("shape", "the place asked for is ignored: the first page comes again", nested=False),
    "time_paging": FaultKind("shape", "pages by until and __paging_token, without cursors", edges=("messages",)),
    # Changes of an ordinary answer.
    "empty_page": FaultKind("change", "an empty page with next; the rows follow on the next page", nested=False),
    "repeated_cursor": FaultKind("change", "next leads to the same page again", nested=False),
    "unordered_page": FaultKind("change", "the rows of a page come oldest first", nested=False),
    "foreign_next": FaultKind("change", "next points to another host", nested=False),
    "no_paging_next": FaultKind("change", "next is missing although there is more", nested=False),
    "null_row": FaultKind("change", "a null stands among the rows of a list (position; default the middle)"),
    "null_rows": FaultKind("change", "every row of a list is null"),
    "missing_data": FaultKind("change", "a list has paging and no data"),
    "missing_messages": FaultKind("change", "conversations come without the messages that were asked for"),
    "foreign_object": FaultKind("change", "HTTP 200 with another object: object_id stands as its id", edges=()),
    "unix_times": FaultKind("change", "times are UNIX seconds, in every row or each every_row-th", edges=()),
    "stale_updated_time": FaultKind(
        "change",
        "one row's updated_time is seconds too old: that of thread_id, or the row at position (default the middle)",
        edges=(),
    ),
    # Usage headers.
    "usage": FaultKind("header", "an answer whose usage header says percent and regain_minutes"),
    "foreign_usage": FaultKind(
        "header", "usage of object_id (default an ads account) of type pool: percent and regain_minutes"
    ),
}
# Limits of the Conversations API: unless a route is named, they leave the Page node and /me alone.
CONVERSATION_FAULTS = frozenset({"613", "613/1996", "80002", "80006"})
FAULTS: Mapping[str, FaultKind] = {
    **{name: FaultKind("decisive", row.body["error"]["message"], name) for name, row in ERRORS.items()},
    **{name: FaultKind("decisive", row.description, name) for name, row in ODD_ANSWERS.items()},
    **FAULT_KINDS,
}
# What answers instead of Graph, and what `error` may name: also what happens to an answer on its way.
WHOLE_ANSWERS = frozenset({*ERRORS, *ODD_ANSWERS})
DECISIVE = frozenset(name for name, kind in FAULT_KINDS.items() if kind.stage == "decisive" and not kind.answers)
OUTCOMES = WHOLE_ANSWERS | DECISIVE


@dataclass(frozen=True)
class Fault:
    """One trouble to come.

    **Which calls.** Those that fit ``page_id``, ``platform``, ``route`` and ``match`` (a regular expression on path
    and query), that ask for ``folder``, for ``field`` (a name at any depth), for more than ``limit_over`` rows,
    ``nested_limit_over`` nested messages or ``more_than`` of both multiplied, and that read ``thread_id``:
    ``reach`` says where that one is felt, ``alone`` (its node and its messages), in ``nested_lists`` or in all
    ``lists`` whose page contains it. For shapes and changes ``thread_id`` is the conversation whose data changes,
    and ``edge`` the kind of list.

    **When.** From ``from_seconds`` until ``until_seconds`` after it was added, by the emulator's clock. Of those
    calls it lets ``after_calls`` pass, then takes every ``every``-th with ``probability``, at most ``times`` times.

    ``error`` names another answer for kinds that answer with an error. ``text``, ``user_title`` and
    ``user_message`` go into an error's body. ``regain_minutes`` goes into the usage header; ``block_seconds`` really
    blocks the Page (or app) with the same error. The rest belongs to single kinds, see `FAULTS`.
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
            raise ValueError(f"there is no fault {self.name!r}; there are: {', '.join(FAULTS)}")
        if problem := self._problem():
            raise ValueError(problem)

    def _problem(self) -> str | None:
        if missing := [needed for needed in self.kind.needs if getattr(self, needed) is None]:
            return f"{self.name} needs a {missing[0]}"
        if self.match is not None and not _is_pattern(self.match):
            return f"match must be a regular expression, not {self.match!r}"
        if min(self.every, self.every_row, 1 if self.size is None else self.size) < 1:
            return "every, every_row and size must be 1 or more"
        if self.edge is not None and self.edge not in EDGES:
            return f"edge must be one of {', '.join(EDGES)}"
        if unknown := sorted(set(self.reach or ()) - set(REACHES)):
            return f"reach has no {unknown}; it may have: {', '.join(REACHES)}"
        if self.error is not None and (self.error not in OUTCOMES or self.kind.stage != "decisive"):
            return f"error must name an answer, and {self.name} must be one: {', '.join(sorted(OUTCOMES))}"
        return None

    @staticmethod
    def from_mapping(row: Mapping[str, Any]) -> Fault:
        """Read a fault from JSON, by ``name`` or by ``code`` and ``subcode``; raises ValueError for a bad one."""
        values = dict(row)
        code, subcode = values.pop("code", None), values.pop("subcode", None)
        if code is not None:
            values.setdefault("name", str(code) if subcode is None else f"{code}/{subcode}")
        known = {each.name for each in dataclasses.fields(Fault)}
        unknown = sorted(set(values) - known)
        if unknown or "name" not in values:
            raise ValueError(f"a fault needs a name and has no {unknown}; it may have: {', '.join(sorted(known))}")
        return Fault(**{**values, "name": str(values["name"])})

    @property
    def kind(self) -> FaultKind:
        """What kind of trouble it is."""
        return FAULTS[self.name]

    @property
    def outcome(self) -> str:
        """The name of the answer, or of what happens to the ordinary one."""
        return self.error or self.kind.answers or self.name

    @property
    def reaches(self) -> frozenset[str]:
        """Where a fault of one conversation is felt."""
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
