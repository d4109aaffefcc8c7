"""The result in a window's folder: the rows of its manifest, and contradictions between them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

Original = Callable[[dict[str, Any]], dict[str, Any]]

TABLES = ("messages", "conversations", "extraction_windows", "conversation_gaps")


@dataclass(frozen=True)
class Result:
    """The content of a window's manifest; ``is_partial``: whether it reports a gap in a list."""

    messages: tuple[dict[str, Any], ...]
    conversations: dict[str, dict[str, Any]]
    is_partial: bool
    gaps: tuple[str, ...]
    extraction_id: str
    left_out_fields: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()

    @cached_property
    def missing_lists(self) -> tuple[str, ...]:
        """The folders named in the gaps; an empty name for the only list."""
        names = (gap.partition(":")[0].removeprefix("the list of conversations") for gap in self.gaps)
        return tuple(name.removeprefix("folder ") for name in names)

    @cached_property
    def ids(self) -> dict[str, set[str]]:
        """The ids of all messages, by conversation."""
        found: dict[str, set[str]] = {}
        for row in self.messages:
            found.setdefault(row["conversation_id"], set()).add(row["message_id"])
        return found

    def available(self) -> dict[str, set[str]]:
        """The ids of the messages with content, by conversation."""
        found: dict[str, set[str]] = {}
        for row in self.messages:
            if row["content_status"] != "unavailable":
                found.setdefault(row["conversation_id"], set()).add(row["message_id"])
        return found

    def withheld(self, conversation_id: str) -> set[str]:
        """The ids of a conversation's messages without content."""
        return self.ids.get(conversation_id, set()) - self.available().get(conversation_id, set())


def read_result(files: dict[str, bytes], original: Original | None = None) -> Result | None:
    """The published result of a folder, None if there is none; ``original`` undoes what a policy did to a row."""
    if "_manifest.json" not in files:
        return None
    manifest = orjson.loads(files["_manifest.json"])
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    problems = []
    for file in manifest["files"]:
        if file["path"] not in files:
            problems.append(f"{file['path']} is in the manifest but does not exist")
            continue
        try:
            lines = [orjson.loads(line) for line in gzip.decompress(files[file["path"]]).splitlines()]
        except (ValueError, EOFError, OSError, zlib.error):
            problems.append(f"{file['path']} is in the manifest but cannot be read")
            continue
        if len(lines) != file["rows"]:
            problems.append(f"{file['path']} has {len(lines)} rows, but {file['rows']} in the manifest")
        rows.setdefault(file["table"], []).extend(lines if original is None else map(original, lines))
    ledger = {row["conversation_id"]: row for row in rows["conversations"]}
    problems += _wrong_counts(manifest, rows)
    return Result(
        tuple(rows["messages"]),
        ledger,
        not manifest["complete"],
        tuple(manifest["gaps"]),
        manifest["extraction_id"],
        tuple(manifest["left_out_fields"]),
        tuple(problems),
        tuple(_contradictions(manifest, rows)),
    )


def _wrong_counts(manifest: dict[str, Any], rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Differences between the counts in the manifest and the rows."""
    messages, conversations, stats = rows["messages"], rows["conversations"], manifest["stats"]
    if len({row["conversation_id"] for row in conversations}) < len(conversations):
        yield "a conversation is in the ledger twice"
    if stats["messages"] != len(messages) or stats["conversations"] != len(conversations):
        yield f"the manifest counts {stats['messages']} messages, not {len(messages)}"


def _contradictions(manifest: dict[str, Any], rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Differences between extraction_windows and conversation_gaps, and the manifest and the ledger."""
    messages, conversations = rows["messages"], rows["conversations"]
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
        "messages_unavailable": sum(row["content_status"] == "unavailable" for row in messages),
        "left_out_fields": list(manifest["left_out_fields"]),
    }
    for name, value in expected.items():
        if window[name] != value:
            yield f"extraction_windows has {name} {window[name]!r}, but it is {value!r}"
    if manifest["complete"] == bool(manifest["gaps"]) or manifest["complete"] == (window["reason"] is not None):
        yield "a gap without a reason, or a reason without a gap"
    gaps = {row["conversation_id"]: row for row in rows["conversation_gaps"]}
    reasons = {row["conversation_id"]: row for row in conversations if row["reason_code"] is not None}
    if gaps.keys() != reasons.keys() or len(gaps) != len(rows["conversation_gaps"]):
        yield f"conversation_gaps has {sorted(gaps)}, but {sorted(reasons)} have a reason"
    for identifier in gaps.keys() & reasons.keys():
        names = ("status", "reason_code", "reason", "messages_extracted", "messages_unavailable")
        if any(gaps[identifier][name] != reasons[identifier][name] for name in names):
            yield f"conversation_gaps and conversations differ about {identifier}"
