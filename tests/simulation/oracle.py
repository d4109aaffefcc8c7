"""Knows the truth, and checks after every attempt what the guarantees G1 to G9 promise of it."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import log2
from typing import Any

import orjson

from airflow_provider_metaconv.emulator.faults import FAULTS
from tests.simulation.core import Outcome
from tests.simulation.faults import HONEST, MALFORMED
from tests.simulation.scenario import START, Scenario, WorldPlan
from tests.simulation.transport import Sent
from tests.simulation.world import PRIVATE, LiveWorld, text_of

CONFINED = frozenset(
    {
        *("1", "1/99", "2", "-1", "-2", "10", "100/33", "200", "230", "551", "9000001", "100/cursor"),
        *("html_500", "hang", "reset_before", "reset_middle", "truncated_json", "truncated_gzip"),
        *("service_unavailable_200", "poisoned_thread", "repeated_cursor", *MALFORMED),
    }
)
"""What a single conversation may answer while the Page is well."""

REFUSALS_FOR_GOOD = frozenset(
    name
    for name in FAULTS
    if name.split("/")[0] in ("3", "10", "12", "100", "200", "230", "551", "803", "2500", "9000001")
) | {"redirect", "repeated_cursor"}
"""What a list is not asked for again in the same attempt."""

INSTAGRAM_VISIBLE = 20
SECONDS_PER_CALL = 1.0
"""More than the pace of one Page and the time of an answer together."""

ISOLATION_WAIT_SECONDS = 120.0
FALLBACK_REFUSALS = 3
FALLBACK_SECONDS = 600.0


TABLES = ("messages", "conversations", "extraction_windows", "conversation_gaps")


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken guarantee, seen after one attempt."""

    guarantee: str
    text: str
    attempt: int = 0

    def __str__(self) -> str:
        return f"{self.guarantee} after attempt {self.attempt}: {self.text}"


@dataclass(frozen=True)
class Result:
    """What the manifest of a window's folder names; ``is_partial``: it says itself that a list has a gap."""

    messages: tuple[dict[str, Any], ...]
    conversations: dict[str, dict[str, Any]]
    is_partial: bool
    gaps: tuple[str, ...]
    extraction_id: str
    problems: tuple[str, ...] = ()

    def available(self) -> dict[str, set[str]]:
        """The ids of the messages with content, by conversation."""
        found: dict[str, set[str]] = {}
        for row in self.messages:
            if row["content_status"] != "unavailable":
                found.setdefault(row["conversation_id"], set()).add(row["message_id"])
        return found


def read_result(files: dict[str, bytes]) -> Result | None:
    """The published result of a folder, None when there is none."""
    if "_manifest.json" not in files:
        return None
    manifest = orjson.loads(files["_manifest.json"])
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    problems = []
    for file in manifest["files"]:
        if file["path"] not in files:
            problems.append(f"{file['path']} is named by the manifest and is not there")
            continue
        lines = [orjson.loads(line) for line in gzip.decompress(files[file["path"]]).splitlines()]
        if len(lines) != file["rows"]:
            problems.append(f"{file['path']} holds {len(lines)} rows, the manifest says {file['rows']}")
        rows.setdefault(file["table"], []).extend(lines)
    ledger = {row["conversation_id"]: row for row in rows["conversations"]}
    problems += _contradictions(manifest, rows)
    return Result(
        tuple(rows["messages"]),
        ledger,
        not manifest["complete"],
        tuple(manifest["gaps"]),
        manifest["extraction_id"],
        tuple(problems),
    )


def _contradictions(manifest: dict[str, Any], rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Where the manifest, the ledger's tables and the rows do not say the same."""
    messages, conversations, stats = rows["messages"], rows["conversations"], manifest["stats"]
    if len({row["conversation_id"] for row in conversations}) < len(conversations):
        yield "a conversation is in the ledger twice"
    incomplete = sum(row["status"] != "complete" for row in conversations)
    windows = rows["extraction_windows"]
    if len(windows) != 1:
        yield f"{len(windows)} rows in extraction_windows"
        return
    window = windows[0]
    expected = {
        "status": "complete" if manifest["complete"] else "partial",
        "conversations": len(conversations),
        "messages": len(messages),
        "incomplete_conversations": incomplete,
        "left_out_fields": list(manifest["left_out_fields"]),
    }
    for name, value in expected.items():
        if window[name] != value:
            yield f"extraction_windows says {name} {window[name]!r}, and it is {value!r}"
    if stats["messages"] != len(messages) or stats["conversations"] != len(conversations):
        yield f"the manifest counts {stats['messages']} messages of {len(messages)}"
    if manifest["complete"] == bool(manifest["gaps"]) or manifest["complete"] == (window["reason"] is not None):
        yield "a gap without a reason, or a reason without a gap"
    gaps = {row["conversation_id"]: row for row in rows["conversation_gaps"]}
    reasons = {row["conversation_id"]: row for row in conversations if row["reason_code"] is not None}
    if gaps.keys() != reasons.keys() or len(gaps) != len(rows["conversation_gaps"]):
        yield f"conversation_gaps has {sorted(gaps)}, and {sorted(reasons)} have a reason"
    for identifier in gaps.keys() & reasons.keys():
        names = ("status", "reason_code", "reason", "messages_extracted", "messages_unavailable")
        if any(gaps[identifier][name] != reasons[identifier][name] for name in names):
            yield f"conversation_gaps says something else of {identifier} than conversations"


@dataclass
class Observed:
    """Everything about one attempt that can be seen from outside."""

    number: int
    outcome: Outcome
    sent: Sequence[Sent]
    before: Result | None
    after: Result | None
    is_new: bool
    logs: Sequence[str]
    file_names: Sequence[str]
    public_bytes: Sequence[bytes]
    was_disturbed: bool
    seconds: float
    secrets: Sequence[str]


@dataclass
class Oracle:
    """The truth about one scenario, and what it has seen so far."""

    scenario: Scenario
    live: LiveWorld
    required: dict[str, set[str]] = field(init=False)
    refused: set[str] = field(default_factory=set)
    lists_ended: set[str | None] = field(default_factory=set)
    faults_so_far: bool = False

    def __post_init__(self) -> None:
        world = self.scenario.world
        folders = {folder or "inbox" for folder in world.folders}
        self.required = {}
        for thread in self.live.world.threads.values():
            if thread.folder in folders:
                ids = {each.id for each in thread.messages if _is_in(world, each.created_time)}
                if ids:
                    self.required[thread.id] = ids

    def check(self, seen: Observed) -> list[Finding]:
        """What is wrong after an attempt."""
        self._learn(seen)
        found = [
            *self._check_outcome(seen),
            *self._check_secrets(seen),
        ]
        if seen.after is not None:
            found += self._check_result(seen, seen.after)
        found += _never_worse(seen, self.live.lost)
        return [Finding(each.guarantee, each.text, seen.number) for each in found]

    def check_complete(self, seen: Observed) -> list[Finding]:
        """What is wrong after the last attempt on a healthy API: it must have succeeded, and be complete."""
        if seen.outcome.kind != "success" or seen.after is None:
            return [
                Finding(
                    "liveness", f"no success on a healthy API: {seen.outcome.kind} {seen.outcome.error}", seen.number
                )
            ]
        wrong = [
            identifier
            for identifier, row in seen.after.conversations.items()
            if row["status"] == "unreadable" or (row["status"] != "complete" and not self._is_truncated(identifier))
        ]
        if wrong or seen.after.is_partial:
            told = f"not complete on a healthy API: {sorted(wrong) or 'the list'}"
            return [Finding("liveness", told, seen.number)]
        return []

    def _learn(self, seen: Observed) -> None:
        for call in seen.sent:
            if call.ends_list:
                self.lists_ended.add(call.folder)
            for strike in call.strikes:
                self.faults_so_far = True
                self.refused.add(strike.target or call.object_id)

    def _check_outcome(self, seen: Observed) -> Iterator[Finding]:
        outcome = seen.outcome
        if outcome.kind == "broken":
            yield Finding("G10", f"an error that nobody expected: {outcome.error}")
        if outcome.kind == "endless":
            yield Finding("G7", f"no end after {len(seen.sent)} calls")
        struck = [strike for call in seen.sent for strike in call.strikes]
        if outcome.kind in ("retry", "fail", "reschedule") and not seen.was_disturbed and not struck:
            yield Finding("G7", f"a healthy Page fails: {outcome.error}")
        elif outcome.kind in ("retry", "fail") and not seen.was_disturbed and self._concern_one(seen):
            yield Finding("G6", f"one conversation stops the Page: {outcome.error}")
        if outcome.kind == "success" and seen.after is None:
            yield Finding("G1", "a success without a manifest")
        if outcome.kind == "success" and not self.faults_so_far and not seen.was_disturbed:
            most = 3 * self._plain_calls() + 5
            if len(seen.sent) > most:
                yield Finding("G7", f"{len(seen.sent)} calls for a healthy Page, {most} are the most")
        if outcome.kind == "success" and seen.number == 1 and not seen.was_disturbed:
            yield from self._check_isolation(seen, {strike.target for strike in struck})

    def _check_isolation(self, seen: Observed, targets: set[str | None]) -> Iterator[Finding]:
        """G8, where conversations that spoil each list with their data are all that is wrong."""
        faults = self.scenario.faults
        if not targets or any(each.name != "poisoned_thread" or dict(each.options).get("light") for each in faults):
            return
        bad, listed = len(targets), max(2, len(self.live.conversation_ids))
        most = 3 * self._plain_calls() + 5 + int(6 * bad * log2(listed)) + 10
        if len(seen.sent) > most:
            yield Finding("G8", f"{len(seen.sent)} calls to isolate {bad} of {listed}, {most} are the most")
        waited = seen.seconds - len(seen.sent) * SECONDS_PER_CALL
        if waited > ISOLATION_WAIT_SECONDS:
            yield Finding("G8", f"{waited:.0f} s of waiting to isolate {bad} of {listed}")

    def _concern_one(self, seen: Observed) -> bool:
        """Whether all that was refused is one conversation, in a way that says nothing about the Page."""
        struck = [strike for call in seen.sent for strike in call.strikes if strike.name not in HONEST]
        targets = {strike.target for strike in struck}
        is_confined = all(strike.name in CONFINED for strike in struck)
        # Past a conversation that spoils each list, whatever is asked of it, no cursor leads.
        is_confined &= not any(call.route == "conversations" and call.limit == 1 and call.strikes for call in seen.sent)
        return is_confined and len(targets) == 1 and targets <= self.live.conversation_ids and len(self.required) > 1

    def _check_result(self, seen: Observed, result: Result) -> Iterator[Finding]:
        for problem in result.problems:
            yield Finding("G1", problem)
        yield from self._check_rows(result)
        if not seen.is_new:
            return
        yield from self._check_list_proof(seen, result)
        for identifier, ids in self.required.items():
            missing = ids - self.live.lost - {row["message_id"] for row in result.messages}
            if missing:
                yield from self._check_missing(result, identifier, missing)
        for identifier, row in result.conversations.items():
            if row["status"] != "complete":
                yield from self._check_gap(identifier, row)

    def _check_rows(self, result: Result) -> Iterator[Finding]:
        counts = Counter(row["message_id"] for row in result.messages)
        twice = sorted(identifier for identifier, count in counts.items() if count > 1)
        if twice:
            yield Finding("G1", f"written twice: {', '.join(twice[:5])}")
        per_conversation: Counter[str] = Counter()
        unavailable: Counter[str] = Counter()
        for row in result.messages:
            identifier = row["message_id"]
            per_conversation[row["conversation_id"]] += 1
            if row["content_status"] == "unavailable":
                unavailable[row["conversation_id"]] += 1
            elif row["text"] != text_of(identifier):
                yield Finding("G1", f"{identifier} has another text")
            if not identifier.startswith(f"m_{row['conversation_id']}_"):
                yield Finding("G1", f"{identifier} is in conversation {row['conversation_id']}")
        for identifier in per_conversation:
            if identifier not in result.conversations and not result.is_partial:
                yield Finding("G1", f"{identifier} has rows and is not in the ledger")
        for identifier, row in result.conversations.items():
            available = per_conversation[identifier] - unavailable[identifier]
            if row["messages_extracted"] != available:
                yield Finding(
                    "G1", f"the ledger counts {row['messages_extracted']} of {available} messages of {identifier}"
                )
            if row["messages_unavailable"] < unavailable[identifier]:
                told = f"{row['messages_unavailable']} of {unavailable[identifier]}"
                yield Finding("G1", f"the ledger counts {told} messages without content of {identifier}")
            if row["messages_unavailable"] and row["reason_code"] is None:
                yield Finding("G1", f"{identifier} has messages without content and no reason")

    def _check_list_proof(self, seen: Observed, result: Result) -> Iterator[Finding]:
        if not result.is_partial:
            unread = [folder for folder in self.scenario.world.folders if folder not in self.lists_ended]
            if unread:
                yield Finding("G1", f"called complete, but no list call has shown the end of {unread}")
            return
        folders = self.scenario.world.folders
        if len(folders) == 1 and not self.scenario.accepts_partial:
            yield Finding("G2", "a list given up though a partial result is not accepted")
        for folder in folders:
            if folder is not None and folder not in self.lists_ended and not any(folder in gap for gap in result.gaps):
                yield Finding("G4", f"the gaps do not name {folder}: {result.gaps}")
        if self.scenario.accepts_partial:
            yield from self._check_fallback(seen)

    def _check_fallback(self, seen: Observed) -> Iterator[Finding]:
        """What is published as partial where a list can be given up for what earlier windows knew."""
        lists = [call for call in seen.sent if call.route == "conversations"]
        strikes = {strike.name for call in lists for strike in call.strikes}
        if strikes & REFUSALS_FOR_GOOD:
            return
        refused = [call for call in lists if call.limit <= 1 and not {strike.name for strike in call.strikes} <= HONEST]
        if len(refused) < FALLBACK_REFUSALS:
            told = f"a list given up that was refused {len(refused)} times at its smallest in this attempt"
            yield Finding("G2", told)
        elif refused[-1].time - refused[0].time < FALLBACK_SECONDS:
            yield Finding("G2", f"a list given up after {refused[-1].time - refused[0].time:.0f} s")

    def _check_missing(self, result: Result, identifier: str, missing: set[str]) -> Iterator[Finding]:
        row = result.conversations.get(identifier)
        told = f"{len(missing)} messages of {identifier} are missing"
        if row is None:
            if not result.is_partial:
                yield Finding("G1", f"{told}, and it is not in the ledger")
        elif row["status"] == "complete":
            odd = any(fault.name in MALFORMED for fault in self.scenario.faults)
            yield Finding("G5" if odd else "G1", f"{told}, and the ledger calls it complete")

    def _check_gap(self, identifier: str, row: dict[str, Any]) -> Iterator[Finding]:
        if not row["reason"]:
            yield Finding("G1", f"{identifier} is {row['status']} without a reason")
        is_truncated = row["status"] == "truncated_by_platform" and self._is_truncated(identifier)
        if not is_truncated and identifier not in self.refused:
            yield Finding("G1", f"{identifier} is {row['status']}, but Meta never refused it: {row['reason']}")

    def _is_truncated(self, identifier: str) -> bool:
        thread = self.live.world.threads.get(identifier)
        return thread is not None and thread.is_instagram and len(thread.messages) > INSTAGRAM_VISIBLE

    def _plain_calls(self) -> int:
        """The calls of somebody who reads everything once, with pages as large as they may be."""
        world = self.scenario.world
        asked, nested, page = self.scenario.sizes or (25, 5, 25)
        lists, messages = _Cut.of("conversations", world), _Cut.of("messages", world)
        rows, nested, page = lists.rows(asked), messages.rows(nested), messages.rows(page)
        calls = 2 + sum(
            lists.more
            + 1
            + sum((thread.folder == (folder or "inbox")) for thread in self.live.world.threads.values()) // rows
            for folder in world.folders
        )
        for thread in self.live.world.threads.values():
            beyond = max(0, len(thread.messages) - nested)
            calls += -(-beyond // page) + (beyond > 0 or messages.more) * messages.more
        return calls + 2 * len(world.arrivals) + 2 * len(world.unsent)

    def _check_secrets(self, seen: Observed) -> Iterator[Finding]:
        told = "\n".join((*seen.logs, seen.outcome.error, *seen.file_names))
        files = b"\n".join(seen.public_bytes)
        for secret in (*seen.secrets, PRIVATE):
            if secret in told or secret.encode() in files:
                yield Finding("G9", f"{'a text' if secret == PRIVATE else 'a secret'} is where everybody reads")


@dataclass(frozen=True, slots=True)
class _Cut:
    """How a healthy Page cuts one kind of list: at most ``size`` rows, and so many calls ``more`` at its ends."""

    size: int
    divisor: int
    more: int

    @staticmethod
    def of(edge: str, world: WorldPlan) -> _Cut:
        size, divisor, more = 10_000, 1, 0
        for habit in world.habits:
            if dict(habit.options).get("edge", edge) == edge:
                size = min(size, dict(habit.options)["size"] if habit.name == "page_size" else size)
                divisor *= 2 if habit.name == "short_page" else 1
                more += habit.name in ("first_page", "empty_tail", "empty_self_tail", "self_tail")
        return _Cut(size, divisor, more)

    def rows(self, asked: int) -> int:
        return max(1, min(asked // self.divisor, self.size))


def _never_worse(seen: Observed, unsent: set[str]) -> Iterator[Finding]:
    if seen.before is None:
        return
    if seen.after is None:
        yield Finding("G3", "the earlier result is gone")
        return
    after = seen.after.available()
    for identifier, ids in seen.before.available().items():
        lost = ids - unsent - after.get(identifier, set())
        if lost:
            yield Finding("G3", f"{len(lost)} messages of {identifier} were in the earlier result")
            return
    if not seen.before.is_partial and seen.after.is_partial:
        yield Finding("G3", "a partial result replaces a complete one")


def _is_in(world: WorldPlan, created_time: int) -> bool:
    return (world.since or 0) <= created_time - START < world.until
