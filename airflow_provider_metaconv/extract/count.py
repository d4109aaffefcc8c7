"""Whether a reading of a conversation has met as many messages as Meta counted when it began. Pure.

Meta's number alone proves nothing: of the messages that were met some may be gone from it, and others may have come
since. So only messages up to the newest one that can have been counted count, each once, and only those that were met
in one reading from the newest to the oldest: the next reading begins with a number of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_metaconv.extract.rows import count
from airflow_provider_metaconv.extract.state import Count
from airflow_provider_metaconv.window import row_time


def begin(node: Mapping[str, Any], *, in_order: bool) -> Count | None:
    """The count with which a reading begins that shows this node; None where the node tells none.

    ``in_order``: whether messages came newest first so far; else their ids are kept, since no mark tells them apart.
    """
    told = count(node.get("message_count"))
    newest = _newest_time(node)
    # Without a time nothing tells what was counted from what came later.
    return None if told is None or newest is None else Count(told, newest, met_ids=None if in_order else set())


def begin_again(before: Count | None, *, in_order: bool) -> Count | None:
    """The count of an earlier reading for one that is told none."""
    return None if before is None else Count(before.told, before.newest, met_ids=None if in_order else set())


def _newest_time(node: Mapping[str, Any]) -> str | None:
    edge = node.get("messages")
    rows = edge.get("data") if isinstance(edge, Mapping) else None
    nodes = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    times = [row_time(row.get("created_time")) for row in nodes]
    return max(filter(None, [*times, row_time(node.get("updated_time"))]), default=None)


def meet(counted: Count, message_id: str, created: str) -> None:
    """Counts a message of the reading, unless it came before or is newer than what was counted."""
    if created > counted.newest:
        return
    if counted.met_ids is not None:
        counted.met += message_id not in counted.met_ids
        counted.met_ids.add(message_id)
    elif not counted.mark or created < counted.mark:
        counted.met, counted.mark, counted.mark_ids = counted.met + 1, created, [message_id]
    elif created == counted.mark and message_id not in counted.mark_ids:
        counted.met, counted.mark_ids = counted.met + 1, [*counted.mark_ids, message_id]


def is_met(counted: Count | None, *, by_unclear: bool) -> bool:
    """Whether all were met that were counted; False where nothing was.

    Messages without id or time may come twice: ``by_unclear`` says whether they count.
    """
    return counted is not None and counted.met + (counted.unclear if by_unclear else 0) >= counted.told
