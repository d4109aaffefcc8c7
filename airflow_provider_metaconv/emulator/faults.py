"""Faults as data: which trouble, for whose calls, when and how often.

An error answer is a row in `errors.ERRORS`; every other trouble is a row in `TROUBLES`, carried out where its
stage says.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from .calls import Call
from .errors import ERRORS
from .generate import seeded

Stage = Literal["error", "request", "rule", "rewrite", "wire"]


@dataclass(frozen=True)
class FaultKind:
    """One kind of trouble: at which stage of a call it strikes, and what it does."""

    stage: Stage
    description: str


TROUBLES: dict[str, FaultKind] = {
    "hang": FaultKind("request", "waits delay_seconds before the ordinary answer"),
    "short_page": FaultKind("request", "a page has half the rows asked for, and next"),
    "too_much_data": FaultKind("rule", "code 1 when limit x nested limit is more than more_than"),
    "poisoned_thread": FaultKind(
        "rule", "code 1 for each list page that nests data of thread_id (light: any list; alone: direct reads too)"
    ),
    "empty_page": FaultKind("rewrite", "an empty page with next; the rows follow on the next page"),
    "repeated_cursor": FaultKind("rewrite", "next leads to the same page again"),
    "unordered_page": FaultKind("rewrite", "the rows of a page come oldest first"),
    "foreign_next": FaultKind("rewrite", "next points to another host"),
    "no_paging_next": FaultKind("rewrite", "next is missing although there is more"),
    "usage": FaultKind("rewrite", "an ordinary answer whose usage header says percent and regain_minutes"),
    "html_500": FaultKind("wire", "HTTP 500 with an HTML page"),
    "service_unavailable_200": FaultKind("wire", "HTTP 200 with the text Service Unavailable"),
    "reset_before": FaultKind("wire", "the connection is reset before the answer"),
    "reset_middle": FaultKind("wire", "the connection is reset in the middle of the body"),
    "truncated_gzip": FaultKind("wire", "a gzip body that ends too early"),
    "truncated_json": FaultKind("wire", "a JSON body that ends too early"),
    "redirect": FaultKind("wire", "HTTP 302 to url, another host"),
}
LIST_FAULTS = frozenset(
    {"short_page", "empty_page", "repeated_cursor", "foreign_next", "no_paging_next", "unordered_page"}
)
# Limits of the Conversations API: unless a route is named, they leave the Page node and /me alone.
CONVERSATION_FAULTS = frozenset({"613", "613/1996", "80002", "80006"})
FAULTS: Mapping[str, FaultKind] = {
    **{name: FaultKind("error", answer.body["error"]["message"]) for name, answer in ERRORS.items()},
    **TROUBLES,
}


@dataclass(frozen=True)
class Fault:
    """One trouble to come.

    It looks at the calls that fit ``page_id``, ``platform``, ``route`` and ``match`` (a regular expression on path
    and query), lets ``after_calls`` of them pass, then strikes every ``every``-th with ``probability``, at most
    ``times`` times. ``regain_minutes`` goes into the usage header; ``block_seconds`` really blocks the Page (or
    app) with the same error. The rest belongs to single kinds, see `FAULTS`.
    """

    name: str
    times: int | None = None
    after_calls: int = 0
    every: int = 1
    probability: float = 1.0
    seed: int = 1
    page_id: str | None = None
    platform: str | None = None
    route: str | None = None
    match: str | None = None
    regain_minutes: int | None = None
    block_seconds: float | None = None
    delay_seconds: float = 3_600.0
    more_than: int = 0
    thread_id: str | None = None
    light: bool = False
    alone: bool = False
    percent: int = 100
    url: str = "https://elsewhere.example"
    status: int | None = None

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"there is no fault {self.name!r}; there are: {', '.join(FAULTS)}")
        if self.name == "poisoned_thread" and self.thread_id is None:
            raise ValueError("poisoned_thread needs a thread_id")
        if self.every < 1:
            raise ValueError("every must be 1 or more")

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

    def fits(self, call: Call) -> bool:
        """Whether the fault is about this call at all."""
        if self.page_id is not None and self.page_id != call.page_id:
            return False
        if self.platform is not None and self.platform.upper() != call.platform:
            return False
        if self.route is not None and self.route != call.route:
            return False
        if self.name in CONVERSATION_FAULTS and self.route is None and not call.is_conversation_api:
            return False
        if self.name in LIST_FAULTS and call.route not in ("conversations", "messages"):
            return False
        if self.name == "repeated_cursor" and not call.parameters.get("after"):
            return False
        return self.match is None or re.search(self.match, call.target) is not None


@dataclass(frozen=True)
class Reading:
    """What a call is about to read, for the rules: the threads, and how much of each."""

    thread_ids: tuple[str, ...]
    limit: int
    nested_limit: int | None
    is_list: bool

    def breaks(self, fault: Fault) -> bool:
        """Whether the rule of a fault refuses this reading."""
        if fault.name == "too_much_data":
            return self.limit * (self.nested_limit or 1) > fault.more_than
        if fault.thread_id not in self.thread_ids:
            return False
        if self.is_list:
            return self.nested_limit is not None or fault.light
        return fault.alone


class _Armed:
    """A fault with its count of calls seen and of strikes."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.struck = 0
        self._random: Random = seeded("fault", fault.seed)

    def strikes(self) -> bool:
        fault = self.fault
        if fault.times is not None and self.struck >= fault.times:
            return False
        self.seen += 1
        number = self.seen - fault.after_calls
        if number < 1 or (number - 1) % fault.every:
            return False
        if fault.probability < 1 and self._random.random() >= fault.probability:
            return False
        self.struck += 1
        return True


class FaultBook:
    """The faults to come; the first one that strikes is the one that counts."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def add(self, fault: Fault) -> None:
        """Add one fault behind those that are there."""
        self._armed.append(_Armed(fault))

    def clear(self) -> None:
        """Forget all faults."""
        self._armed.clear()

    def rows(self) -> list[dict[str, Any]]:
        """Return the faults with their counters, JSON-ready."""
        return [{**dataclasses.asdict(each.fault), "seen": each.seen, "struck": each.struck} for each in self._armed]

    def strike(self, call: Call) -> Fault | None:
        """Return the fault that strikes this call, None when it is spared."""
        for each in self._armed:
            if each.fault.kind.stage != "rule" and each.fault.fits(call) and each.strikes():
                return each.fault
        return None

    def refuse(self, call: Call, reading: Reading) -> Fault | None:
        """Return the rule that refuses what a call is about to read, None when none does."""
        for each in self._armed:
            rule = each.fault.kind.stage == "rule"
            if rule and each.fault.fits(call) and reading.breaks(each.fault) and each.strikes():
                return each.fault
        return None
