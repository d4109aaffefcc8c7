"""Erases a person from a simulated disk, kills the erasure on the way, and looks for what is left."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from airflow_provider_metaconv.erase.erase import Erasure, erase
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms
from airflow_provider_metaconv.privacy.suppression import Scope
from tests.simulation.findings import Finding
from tests.simulation.privacy import decompressed
from tests.simulation.result import Result
from tests.simulation.scenario import CrashPlan, ErasurePlan
from tests.simulation.storage import Disk, Killed, MemoryStorage, Process
from tests.simulation.world import LiveWorld

ROOT = ""


def chosen_person(plan: ErasurePlan, live: LiveWorld) -> str | None:
    """The customer who is erased; None if the world has none."""
    customers = sorted(thread.customer["id"] for thread in live.world.threads.values())
    return customers[plan.person % len(customers)] if customers else None


def run_erasure(
    plan: ErasurePlan, person: str, disk: Disk, pseudonyms: Pseudonyms | None, trace: Callable[[str], None]
) -> None:
    """Runs the erasure as often as it is killed, and once more."""
    erasure = Erasure((person,), Scope(plan.scope), pseudonyms)
    for number, point in enumerate((*plan.kills, 0)):
        trace(f"--- erasure {number + 1}")
        crashes = (CrashPlan(0, point, "after"),) if point else ()
        try:
            erase(MemoryStorage(disk, ROOT, Process(crashes)), erasure)
        except Killed:
            continue


def traces(person: str, plan: ErasurePlan, disk: Disk, live: LiveWorld, pseudonyms: Pseudonyms | None) -> Iterator[str]:
    """Everything on the disk that still tells of a person."""
    names = {f'"{person}"'}
    for thread in live.world.threads.values():
        if thread.customer["id"] == person:
            names |= {f'"{value}"' for key, value in thread.customer.items() if key != "id"}
            if plan.scope == "conversation":
                names |= {f'"{thread.id}"', f"m_{thread.id}_"}
                if pseudonyms is not None:
                    names.add(pseudonyms.of(thread.id))
    if pseudonyms is not None:
        names.add(pseudonyms.of(person))
    pattern = re.compile("|".join(map(re.escape, sorted(names))).encode())
    for folder, files in disk.folders.items():
        for name, data in files.items():
            if match := pattern.search(decompressed(data)):
                yield f"{match[0].decode()} in {folder}/{name}"


def rows_of_others(result: Result, person: str, live: LiveWorld, scope: str) -> dict[str, Any]:
    """The messages that an erasure leaves alone, by ID; without recipients, from which the person is removed."""
    own = {thread.id for thread in live.world.threads.values() if thread.customer["id"] == person}
    return {
        row["message_id"]: {name: value for name, value in row.items() if name not in ("recipients", "extracted_time")}
        for row in result.messages
        if (row["conversation_id"] not in own if scope == "conversation" else row["sender_id"] != person)
    }


def check(before: Result, after: Result | None, person: str, plan: ErasurePlan, live: LiveWorld) -> Iterator[Finding]:
    """The findings about the rows of everybody else."""
    if after is None:
        yield Finding("erasure", "the window is gone")
        return
    yield from (Finding("erasure", problem) for problem in (*after.problems, *after.contradictions))
    for conversation_id, row in after.conversations.items():
        available = len(after.available().get(conversation_id, ()))
        if row["messages_extracted"] != available:
            yield Finding(
                "erasure", f"the ledger counts {row['messages_extracted']} of {available} of {conversation_id}"
            )
    kept, left = (rows_of_others(result, person, live, plan.scope) for result in (before, after))
    if kept != left:
        yield Finding("erasure", f"{len(kept)} messages of others were there, {len(left)} are, or they differ")
