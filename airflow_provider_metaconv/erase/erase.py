"""The use case: suppress people, erase them from files and tables, verify that nothing is left, and write a receipt.

Every step can be repeated: a task that was killed is run again, and finds what is left. The list comes first, so that
an extraction that begins meanwhile leaves them out, and one that began before does not commit.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from airflow_provider_metaconv.erase.files import (
    Wanted,
    conversations_in_files,
    erase_from_files,
    remaining_in_files,
)
from airflow_provider_metaconv.erase.rewriting import FilesErased
from airflow_provider_metaconv.files.errors import ChangedMeanwhileError, FilesError
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.privacy.policy import PolicyError
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms
from airflow_provider_metaconv.privacy.suppression import SUPPRESSION_NAME, Scope, SuppressionList
from airflow_provider_metaconv.warehouse import Warehouse
from airflow_provider_metaconv.window import iso

logger = logging.getLogger(__name__)

RECEIPTS = "_erasures"
PASSES = 3
"""How often files and tables are erased again because an extraction or a load that began before has ended since."""


class NotErasedError(FilesError):
    """Something of the people is still there, because other tasks keep writing it."""


OpenWarehouse = Callable[[], AbstractContextManager[Warehouse]]


@dataclass(frozen=True, slots=True)
class Erasure:
    """Who is erased, as Meta names them, and how much. ``pseudonyms`` find them in data with pseudonyms."""

    people: tuple[str, ...]
    scope: Scope = Scope.CONVERSATION
    pseudonyms: Pseudonyms | None = None

    def forms(self, identifiers: Iterable[str]) -> frozenset[str]:
        """Return every form in which identifiers may be stored."""
        plain = frozenset(identifiers)
        return plain if self.pseudonyms is None else plain | frozenset(map(self.pseudonyms.of, plain))

    def wanted(self, conversations: Iterable[str]) -> Wanted:
        """Return what to look for, given the people's conversations."""
        key_id = "" if self.pseudonyms is None else self.pseudonyms.key_id
        return Wanted(self.forms(self.people), self.forms(conversations), self.scope, key_id)


@dataclass(slots=True)
class _Done:
    files: FilesErased = field(default_factory=FilesErased)
    tables: dict[str, int] = field(default_factory=dict)


def read_suppressed(root: Storage) -> SuppressionList:
    """Return the suppression list of a destination; empty if there is none. Raises ``PolicyError`` if it is damaged."""
    found = root.read_versioned(SUPPRESSION_NAME)
    return SuppressionList() if found is None else SuppressionList.from_bytes(found[0])


def change_suppressed(root: Storage, change: Callable[[SuppressionList], SuppressionList]) -> SuppressionList:
    """Replace the suppression list by a changed one, whoever else changes it, and return it."""
    for _ in range(10):
        found = root.read_versioned(SUPPRESSION_NAME)
        before = SuppressionList() if found is None else SuppressionList.from_bytes(found[0])
        after = change(before)
        if found is not None and after == before:
            return before
        try:
            root.replace_if_unchanged(after.to_bytes(), SUPPRESSION_NAME, version=None if found is None else found[1])
        except ChangedMeanwhileError:
            continue
        return after
    raise NotErasedError(f"other tasks keep changing {root.uri(SUPPRESSION_NAME)}: run the erasure again")


def erase(root: Storage, erasure: Erasure, open_warehouse: OpenWarehouse | None = None) -> str:
    """Erase people from a destination and a warehouse, and return the URI of the receipt.

    Raises ``PolicyError`` for data whose pseudonyms have another key, ``StorageError`` or ``WarehouseError`` if files
    or tables cannot be changed now, and ``NotErasedError`` if something is still there after several passes. Run it
    again then.
    """
    started = _now()
    root.check_writable()
    found = _found(root, erasure, open_warehouse)
    change_suppressed(root, lambda before: before.with_people(erasure.people, erasure.scope))
    done = _Done()
    for number in range(PASSES):
        if number:
            found |= _found(root, erasure, open_warehouse)
        wanted = erasure.wanted(found)
        if wanted.is_whole:
            change_suppressed(root, _with_conversations(wanted, erasure))
        remaining, limits = _pass(root, wanted, open_warehouse, done)
        if not any(remaining.values()):
            return _write_receipt(root, erasure, started, len(found), done, remaining, limits)
        logger.info("Something was written meanwhile: erasing once more")
    raise NotErasedError("other tasks keep writing what is erased: let them end, then run the erasure again")


def preview(root: Storage, erasure: Erasure, open_warehouse: OpenWarehouse | None = None) -> dict[str, int]:
    """Return how many rows an erasure would remove or change, by place; changes nothing."""
    found = _found(root, erasure, open_warehouse)
    wanted = erasure.wanted(found)
    counts = {"conversations": len(found), "rows in files": remaining_in_files(root, wanted)}
    if open_warehouse is not None:
        with open_warehouse() as warehouse:
            tables = warehouse.remaining(wanted.people, wanted.conversations, wanted.scope)
        counts |= {f"rows of {name}": count for name, count in tables.items()}
    return counts


def _found(root: Storage, erasure: Erasure, open_warehouse: OpenWarehouse | None) -> frozenset[str]:
    """Return the conversations of the people, as they are stored in files and tables."""
    wanted = erasure.wanted(())
    found = conversations_in_files(root, wanted)
    if open_warehouse is None:
        return found
    with open_warehouse() as warehouse:
        for _, other in sorted(warehouse.policies()):
            if other not in ("", wanted.key_id):
                raise PolicyError(
                    f"the tables have pseudonyms of the key {other}: set privacy_conn_id to the connection of that key."
                )
        return found | warehouse.conversations_of(wanted.people)


def _with_conversations(wanted: Wanted, erasure: Erasure) -> Callable[[SuppressionList], SuppressionList]:
    return lambda before: before.with_conversations(wanted.conversations, erasure.people)


def _pass(
    root: Storage, wanted: Wanted, open_warehouse: OpenWarehouse | None, done: _Done
) -> tuple[dict[str, int], tuple[str, ...]]:
    remaining, limits = {}, root.limits()
    # Tables first: until they are done, the files tell which conversations are concerned, also after a kill.
    if open_warehouse is not None:
        with open_warehouse() as warehouse:
            for name, count in warehouse.erase(wanted.people, wanted.conversations, wanted.scope).items():
                done.tables[name] = done.tables.get(name, 0) + count
            remaining = warehouse.remaining(wanted.people, wanted.conversations, wanted.scope)
            limits += warehouse.limits()
    files = erase_from_files(root, wanted)
    done.files.windows += files.windows
    done.files.rows += files.rows
    return remaining | {"files": remaining_in_files(root, wanted)}, limits


def _write_receipt(
    root: Storage,
    erasure: Erasure,
    started: str,
    conversations: int,
    done: _Done,
    remaining: dict[str, int],
    limits: Sequence[str],
) -> str:
    suppressed = read_suppressed(root)
    receipt: dict[str, Any] = {
        "version": 1,
        "people": [suppressed.hash_of(each)[:16] for each in erasure.people],
        "scope": erasure.scope.value,
        "started": started,
        "finished": _now(),
        "found": {"conversations": conversations},
        "erased": {
            "files": {"windows": done.files.windows, "rows": dict(sorted(done.files.rows.items()))},
            "tables": done.tables,
        },
        "remaining": remaining,
        "not_erased": list(limits),
    }
    folder = root.child(RECEIPTS)
    name = f"{started.replace(':', '').replace('-', '')[:15]}Z-{uuid.uuid4().hex[:8]}.json"
    folder.publish_bytes(orjson.dumps(receipt, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), name)
    return folder.uri(name)


def _now() -> str:
    return iso(datetime.now(UTC).replace(microsecond=0))
