"""Removes old messages from a simulated disk, kills the task on the way, and looks for what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from airflow_provider_metaconv.erase.retention import remove_old
from airflow_provider_metaconv.schema import INSTAGRAM
from airflow_provider_metaconv.window import iso
from tests.simulation.findings import Finding
from tests.simulation.privacy import decompressed
from tests.simulation.result import Result
from tests.simulation.scenario import START, CrashPlan, RetentionPlan
from tests.simulation.storage import Disk, Killed, MemoryStorage, Process
from tests.simulation.world import LiveWorld, text_of

ROOT = ""


def cutoff_of(plan: RetentionPlan) -> datetime:
    """The time of the oldest message that is kept."""
    return datetime.fromtimestamp(START + plan.cutoff, UTC)


def remove_all_old(plan: RetentionPlan, disk: Disk, trace: Callable[[str], None]) -> list[str]:
    """Removes old messages as often as the task is killed, and twice more; returns what the last time changed."""
    for number, point in enumerate((*plan.kills, 0)):
        trace(f"--- retention {number + 1}")
        crashes = (CrashPlan(0, point, "after"),) if point else ()
        try:
            remove_old(MemoryStorage(disk, ROOT, Process(crashes)), cutoff_of(plan), timedelta(days=1))
        except Killed:
            continue
    changed: list[str] = []
    remove_old(MemoryStorage(disk, ROOT, Process(trace=changed.append)), cutoff_of(plan), timedelta(days=1))
    return changed


def old_messages(plan: RetentionPlan, disk: Disk, live: LiveWorld) -> Iterator[Finding]:
    """The findings about messages on the disk that should have left."""
    old = [
        message.id
        for thread in live.world.threads.values()
        for message in thread.messages
        if message.created_time < START + plan.cutoff
    ]
    for folder, files in disk.folders.items():
        for name, data in files.items():
            content = decompressed(data)
            for message_id in old:
                if f'"{text_of(message_id)}"'.encode() in content:
                    yield Finding("retention", f"{message_id} in {folder}/{name}")


def check(before: Result, after: Result | None, plan: RetentionPlan, since: int | None) -> Iterator[Finding]:
    """The findings about the rows that stay, and their ledger; ``since``: the begin of the window."""
    if after is None:
        yield Finding("retention", "the window is gone")
        return
    if since is not None and since >= plan.cutoff:
        # Its list contains conversations of the minutes before as well, and its check looks for their rows.
        if after != before:
            yield Finding("retention", "a window that begins at the cutoff or later has changed")
        return
    yield from (Finding("retention", problem) for problem in (*after.problems, *after.contradictions))
    cutoff = iso(cutoff_of(plan))
    kept = tuple(row for row in before.messages if row["created_time"] >= cutoff)
    if kept != after.messages:
        yield Finding(
            "retention", f"{len(kept)} messages are to be kept, {len(after.messages)} are left, or they differ"
        )
    for conversation_id, row in before.conversations.items():
        is_gone = conversation_id not in after.ids and (row["updated_time"] or cutoff) < cutoff
        if is_gone == (conversation_id in after.conversations):
            yield Finding("retention", f"{conversation_id} {'stays' if is_gone else 'has gone'}")
    available = after.available()
    for conversation_id, row in after.conversations.items():
        if row["messages_extracted"] != len(available.get(conversation_id, ())):
            yield Finding("retention", f"the ledger counts {row['messages_extracted']} messages of {conversation_id}")


def brought_back(again: Result | None, after: Result, plan: RetentionPlan, lost: set[str]) -> Iterator[Finding]:
    """The findings about a full history after the removal: nothing old, and everything that is kept."""
    found = set() if again is None else {row["message_id"] for row in again.messages}
    cutoff = iso(cutoff_of(plan))
    if again is not None and any(row["created_time"] < cutoff for row in again.messages):
        yield Finding("retention", "the next full history brings old messages back")
    # Instagram lists fewer messages with their times by then.
    is_instagram = any(row["platform"] == INSTAGRAM for row in after.messages)
    missing = {row["message_id"] for row in after.messages} - found - lost
    if missing and not is_instagram:
        yield Finding("retention", f"the next full history lacks {sorted(missing)[:3]}")
