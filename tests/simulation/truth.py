"""The ground truth: checks a result's rows and ledger against what there is to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_metaconv.emulator.models import Thread
from tests.simulation.findings import Finding
from tests.simulation.result import Result
from tests.simulation.scenario import START, WorldPlan
from tests.simulation.world import LiveWorld, people_of, text_of

INSTAGRAM_VISIBLE = 20
FEWEST_ODD = 2
"""The fewest malformed responses of a conversation read on its own before part of it may be given up."""

MORE_PEOPLE = "(more"
"""The start of the entry for participants that Meta did not return."""

_RANKS = ("complete", "truncated_by_platform", "unreadable")
_CONTENT = ("text", "attachments", "shares", "story", "sticker", "sender_id", "recipients", "tags", "direction")
"""The columns of a message that a less complete version may lack."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """The conversations of which something was refused: ``ever`` in any attempt, ``now`` in the current one.

    ``people``: those whose participants were refused in this attempt. ``own``: the number of refused calls in this
    attempt that were for one conversation only.
    """

    ever: frozenset[str]
    now: frozenset[str]
    people: frozenset[str]
    own: Mapping[str, int]


@dataclass
class Truth:
    """The content of one world, and the messages that the window must contain.

    Without ``accepts_partial`` every conversation comes from a list. ``hides`` means that a policy drops extra fields.
    """

    world: WorldPlan
    live: LiveWorld
    accepts_partial: bool = False
    hides: bool = False
    required: dict[str, set[str]] = field(init=False)

    def __post_init__(self) -> None:
        folders = {folder or "inbox" for folder in self.world.folders}
        self.required = {}
        for thread in self.live.world.threads.values():
            if thread.folder in folders:
                ids = {each.id for each in thread.messages if self._is_in(each.created_time)} - self.live.bare.keys()
                if ids:
                    self.required[thread.id] = ids

    def check(self, result: Result, before: Result | None, refusals: Refusals, *, is_new: bool) -> Iterator[Finding]:
        """The findings for a result; missing messages are checked only if this attempt published it."""
        for problem in result.problems:
            yield Finding("G1", problem)
        for contradiction in result.contradictions:
            yield Finding("G4", contradiction)
        yield from self._check_rows(result, before)
        yield from self._check_counts(result)
        if not is_new:
            return
        for identifier, ids in self.required.items():
            missing = ids - self.live.lost - result.ids.get(identifier, set())
            if missing:
                yield from self._check_missing(result, identifier, missing, refusals)
        for identifier, row in result.conversations.items():
            # More complete rows of an earlier extraction are kept unchanged.
            if before is not None and before.extraction_id != result.extraction_id:
                kept = before.conversations.get(identifier)
                if kept is not None and kept["extracted_time"] == row["extracted_time"]:
                    continue
            if row["status"] != "complete":
                yield from self._check_gap(identifier, row, result, refusals)
            yield from self._check_people(identifier, row, result, refusals)
            yield from self._check_facts(identifier, row, result, refusals)

    def incomplete(self, result: Result) -> Iterator[str]:
        """The incomplete conversations of which Meta withholds nothing."""
        for identifier, row in result.conversations.items():
            if row["status"] != "complete" and not self._is_withheld(identifier, row) and not _lacks_proof(row, result):
                yield identifier

    def check_never_worse(self, before: Result | None, after: Result | None) -> Iterator[Finding]:
        """What is missing or less complete than before."""
        if before is None:
            return
        if after is None:
            yield Finding("G3", "the earlier result is gone")
            return
        if before is after:
            return
        available = after.available()
        for identifier, ids in before.available().items():
            lost = ids - self.live.lost - available.get(identifier, set())
            if lost:
                yield Finding("G3", f"{len(lost)} messages of {identifier} were in the earlier result")
                return
        yield from self._check_never_poorer(before, after)
        if not before.is_partial and after.is_partial:
            yield Finding("G3", "a partial result replaces a complete one")

    def _check_never_poorer(self, before: Result, after: Result) -> Iterator[Finding]:
        for identifier, row in before.conversations.items():
            now = after.conversations.get(identifier)
            if now is None or not row["messages_extracted"] or _rank(now) <= _rank(row):
                continue
            # The earlier row could not know of a withheld message that arrived later.
            if not after.withheld(identifier) - before.ids.get(identifier, set()):
                yield Finding("G3", f"{identifier} was {row['status']} and is {now['status']}")
        rows = {row["message_id"]: row for row in after.messages}
        for row in before.messages:
            now = rows.get(row["message_id"])
            if now is not None:
                poorer = [name for name in _CONTENT if row[name] is not None and now[name] is None]
                if poorer:
                    yield Finding("G3", f"a message was more complete before: {', '.join(poorer)}")
                    return

    def _check_rows(self, result: Result, before: Result | None) -> Iterator[Finding]:
        counts = Counter(row["message_id"] for row in result.messages)
        twice = sorted(identifier for identifier, count in counts.items() if count > 1)
        if twice:
            yield Finding("G1", f"written twice: {', '.join(twice[:5])}")
        for row in result.messages:
            identifier = row["message_id"]
            if not identifier.startswith(f"m_{row['conversation_id']}_"):
                yield Finding("G1", f"{identifier} is in conversation {row['conversation_id']}")
            if row["content_status"] != "unavailable":
                yield from self._check_content(row, self._left_out(row, result, before))

    def _left_out(self, row: dict[str, Any], result: Result, before: Result | None) -> tuple[str, ...]:
        """The fields that a row may lack: a message that Meta no longer shows may have been read without them."""
        if before is not None and self._is_gone(row):
            return result.left_out_fields + before.left_out_fields
        return result.left_out_fields

    def _is_gone(self, row: dict[str, Any]) -> bool:
        """Whether a message was unsent, or is too old for Instagram to show its content."""
        thread = self.live.world.threads[row["conversation_id"]]
        newest = {each.id for each in thread.messages[-INSTAGRAM_VISIBLE:]}
        is_beyond = thread.is_instagram and row["message_id"] not in newest
        return is_beyond or row["message_id"] in self.live.lost

    def _check_content(self, row: dict[str, Any], left_out: tuple[str, ...]) -> Iterator[Finding]:
        identifier = row["message_id"]
        if row["text"] != text_of(identifier):
            yield Finding("G1", f"{identifier} has another text")
        known = self.live.world.messages.get(identifier)
        if known is None:
            return
        message = known[1]
        expected = "outbound" if message.from_page else "inbound"
        if row["direction"] != expected:
            yield Finding("G1", f"{identifier} is {expected}, but its row says {row['direction']}")
        actual = message.content.get("attachments")
        extracted = row["attachments"]
        if isinstance(actual, dict) or actual is None:
            if extracted is not None:
                yield Finding("G1", f"{identifier} has no attachments, but its row has {extracted}")
        elif extracted is None and "attachments" not in left_out:
            yield Finding("G1", f"{identifier} lacks its attachments")
        extra = {"thread_id": row["conversation_id"]} if known[0].is_instagram and not self.hides else None
        if row["extra"] != extra and not (row["extra"] is None and "thread_id" in left_out):
            yield Finding("G1", f"{identifier} has the extra fields {row['extra']}")

    def _check_counts(self, result: Result) -> Iterator[Finding]:
        per_conversation: Counter[str] = Counter()
        unavailable: Counter[str] = Counter()
        for row in result.messages:
            per_conversation[row["conversation_id"]] += 1
            unavailable[row["conversation_id"]] += row["content_status"] == "unavailable"
        for identifier in per_conversation:
            if identifier not in result.conversations and not result.is_partial:
                yield Finding("G1", f"{identifier} has rows but is not in the ledger")
        for identifier, row in result.conversations.items():
            available = per_conversation[identifier] - unavailable[identifier]
            if row["messages_extracted"] != available:
                counted = f"{row['messages_extracted']} of {available}"
                yield Finding("G1", f"the ledger counts {counted} messages of {identifier}")
            if row["messages_unavailable"] < unavailable[identifier]:
                counted = f"{row['messages_unavailable']} of {unavailable[identifier]}"
                yield Finding("G1", f"the ledger counts {counted} messages without content of {identifier}")
            if row["messages_unavailable"] and row["reason_code"] is None:
                yield Finding("G1", f"{identifier} has messages without content but no reason")

    def _check_missing(
        self, result: Result, identifier: str, missing: set[str], refusals: Refusals
    ) -> Iterator[Finding]:
        row = result.conversations.get(identifier)
        text = f"{len(missing)} messages of {identifier} are missing"
        if row is None:
            if not result.is_partial:
                yield Finding("G1", f"{text}, and it is not in the ledger")
        elif row["status"] == "complete":
            yield Finding("G1", f"{text}, but it is complete in the ledger")
        elif row["reason_code"] in ("unplaced_messages", "paging") and identifier in refusals.now:
            return
        elif self._is_withheld(identifier, row) and not (self.world.arrivals or self.world.unsent):
            newest = [each.id for each in self.live.world.threads[identifier].messages[-INSTAGRAM_VISIBLE:]]
            if lost := missing & set(newest):
                yield Finding("G1", f"{len(lost)} of the newest messages of {identifier} are missing")

    def _check_gap(self, identifier: str, row: dict[str, Any], result: Result, refusals: Refusals) -> Iterator[Finding]:
        if not row["reason"]:
            yield Finding("G1", f"{identifier} is {row['status']} without a reason")
        if _lacks_proof(row, result) or self._is_withheld(identifier, row):
            return
        if identifier not in refusals.ever:
            yield Finding("G1", f"{identifier} is {row['status']}, but Meta never refused it: {row['reason']}")
        elif identifier not in refusals.now:
            text = f"{identifier} is {row['status']} because of a response to an earlier attempt"
            yield Finding("G2", f"{text}: {row['reason_code']}")
        elif row["reason_code"] == "unplaced_messages" and refusals.own.get(identifier, 0) < FEWEST_ODD:
            text = f"{identifier} has messages without id or time after {refusals.own.get(identifier, 0)} refusals"
            yield Finding("G5", text)

    def _check_people(
        self, identifier: str, row: dict[str, Any], result: Result, refusals: Refusals
    ) -> Iterator[Finding]:
        thread = self.live.world.threads.get(identifier)
        people = row["participants"]
        if thread is None or identifier in refusals.now - refusals.people:
            return
        if people is None:
            if "participants" not in result.left_out_fields and identifier not in refusals.ever:
                yield Finding("G1", f"{identifier} has no participants")
            return
        if any((each["name"] or "").startswith(MORE_PEOPLE) for each in people):
            if identifier not in refusals.ever:
                yield Finding("G1", f"{identifier} lacks participants that Meta never refused")
            elif identifier not in refusals.people:
                yield Finding("G2", f"{identifier} lacks participants because of a response to an earlier attempt")
        elif missing := people_of(thread) - {each["id"] for each in people}:
            yield Finding("G1", f"{len(missing)} participants of {identifier} are missing without a note")

    def _check_facts(
        self, identifier: str, row: dict[str, Any], result: Result, refusals: Refusals
    ) -> Iterator[Finding]:
        """A conversation's facts, and its folder, are those of Meta, or null because Meta refused something."""
        thread = self.live.world.threads.get(identifier)
        if thread is None:
            return
        facts: dict[str, Any] = {"extra": None if self.hides else {"is_owner": True}}
        if not thread.is_instagram:
            link = None if self.hides else f"/{thread.page.id}/inbox/{thread.number + 1}/"
            facts |= {"can_reply": thread.folder != "spam", "is_subscribed": True, "link": link}
            if row["unread_count"] is not None:
                facts["unread_count"] = row["unread_count"]
        expected = dict.fromkeys(("unread_count", "can_reply", "is_subscribed", "link")) | facts
        left_out = {name.removeprefix("conversations.") for name in result.left_out_fields}
        for name, value in expected.items():
            field = "is_owner" if name == "extra" else name
            may_lack = field in left_out or identifier in refusals.ever
            if row[name] != value and not (row[name] is None and may_lack):
                yield Finding("G1", f"{identifier} has {name} {row[name]!r}, but it is {value!r}")
        folder = thread.folder if thread.folder in self.world.folders else None
        if row["folder"] != folder and not (row["folder"] is None and self.accepts_partial):
            yield Finding("G1", f"{identifier} has the folder {row['folder']}, but it is in {folder}")

    def _is_withheld(self, identifier: str, row: dict[str, Any]) -> bool:
        """Whether Meta never shows more of a conversation."""
        thread = self.live.world.threads.get(identifier)
        if thread is None:
            return False
        if row["reason_code"] == "instagram_limit":
            return self._is_long(thread) and "refuses" not in row["reason"]
        has_bare = any(each.startswith(f"m_{identifier}_") for each in self.live.bare)
        if row["reason_code"] == "paging":
            # It cannot be known whether it will recur: if Meta returns one row per call, nothing proves an end.
            return has_bare
        if row["reason_code"] == "unplaced_messages":
            return has_bare or (self._is_long(thread) and not self.world.old_rows_have_time)
        return False

    def _is_long(self, thread: Thread) -> bool:
        """Whether Instagram withholds part of its content, or did so before a message was unsent."""
        unsent = sum(each.startswith(f"m_{thread.id}_") for each in self.live.lost)
        return thread.is_instagram and len(thread.messages) + unsent > INSTAGRAM_VISIBLE

    def _is_in(self, created_time: int) -> bool:
        return (self.world.since or 0) <= created_time - START < self.world.until


def _lacks_proof(row: dict[str, Any], result: Result) -> bool:
    """Whether its message count was refused, without which a row that names itself does not prove an end."""
    return row["reason_code"] == "paging" and "message_count" in result.left_out_fields


def _rank(row: dict[str, Any]) -> int:
    return _RANKS.index(row["status"])
