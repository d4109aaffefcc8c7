"""The rows of extraction_windows and conversation_gaps, and the counts in a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_metaconv.files.evidence import WindowEvidence
from airflow_provider_metaconv.files.manifest import ManifestFile, ManifestPrivacy
from airflow_provider_metaconv.files.parts import write_rows
from airflow_provider_metaconv.files.reading import rows_of
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.files.versions import (
    STATUS_RANKS,
)
from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    ConversationStatus,
    ReasonCode,
    Row,
    WindowStatus,
)


@dataclass(frozen=True, slots=True)
class WindowHeader:
    """Identifies a window. Times are as in ``Manifest``."""

    page_id: str
    platform: str
    folders: str
    user_id: str
    window_id: str
    since: str | None
    until: str
    extracted_time: str
    file_format: str = "ndjson"
    reads_since: str | None = None
    privacy: ManifestPrivacy = field(default_factory=ManifestPrivacy)


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """The contents of a window's files, counted."""

    conversations: int = 0
    messages: int = 0
    messages_unavailable: int = 0
    incomplete_by_status: Mapping[str, int] = field(default_factory=dict)

    @property
    def incomplete_conversations(self) -> int:
        """The number of incomplete conversations."""
        return sum(self.incomplete_by_status.values())


def write_ledger(
    storage: Storage,
    header: WindowHeader,
    files: Sequence[ManifestFile],
    unplaced: Mapping[str, int],
    stats: Mapping[str, Any],
    evidence: WindowEvidence,
    left_out_fields: Sequence[str],
) -> tuple[list[ManifestFile], WindowCounts]:
    """Write the parts of ``conversation_gaps`` and ``extraction_windows``; returns them and the window's counts."""
    counter = _Counter()
    gaps = (
        _gap_row(header, row, unplaced.get(row["conversation_id"], 0))
        for row in counter.counted(rows_of(storage, files, CONVERSATIONS))
        if row["reason_code"] is not None
    )
    parts = write_rows(storage, CONVERSATION_GAPS, header.file_format, gaps)
    counts = counter.counts(sum(file.rows for file in files if file.table == MESSAGES.name))
    window = _window_row(header, counts, stats, evidence, left_out_fields)
    return parts + write_rows(storage, EXTRACTION_WINDOWS, header.file_format, [window]), counts


class _Counter:
    """Counts conversations, and what is missing from them, as their rows pass through."""

    def __init__(self) -> None:
        self._conversations = self._unavailable = 0
        self._incomplete: dict[str, int] = {}

    def counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows unchanged, and count them."""
        for row in rows:
            self._conversations += 1
            self._unavailable += row["messages_unavailable"]
            if row["status"] != ConversationStatus.COMPLETE:
                self._incomplete[row["status"]] = self._incomplete.get(row["status"], 0) + 1
            yield row

    def counts(self, messages: int) -> WindowCounts:
        """Return the counts so far; ``messages`` is the number of messages."""
        in_order = {name: self._incomplete[name] for name in STATUS_RANKS if name in self._incomplete}
        return WindowCounts(self._conversations, messages, self._unavailable, in_order)


def _key(header: WindowHeader) -> Row:
    return {
        "platform": header.platform,
        "page_id": header.page_id,
        "folders": header.folders,
        "user_id": header.user_id,
        "window_id": header.window_id,
    }


def _gap_row(header: WindowHeader, conversation: Row, unplaced: int) -> Row:
    extracted, unavailable = conversation["messages_extracted"], conversation["messages_unavailable"]
    return _key(header) | {
        "conversation_id": conversation["conversation_id"],
        "window_since": header.since,
        "window_until": header.until,
        "status": conversation["status"],
        "reason_code": conversation["reason_code"],
        "reason": conversation["reason"],
        "messages_known": extracted + unavailable + unplaced,
        "messages_extracted": extracted,
        "messages_unavailable": unavailable,
        "closed_by_window": None,
        # This extraction's time even if an earlier row was kept, because this extraction found the gap still open.
        "extracted_time": header.extracted_time,
    }


def _window_row(
    header: WindowHeader,
    counts: WindowCounts,
    stats: Mapping[str, Any],
    evidence: WindowEvidence,
    left_out_fields: Sequence[str],
) -> Row:
    is_complete = evidence.is_complete
    return _key(header) | {
        "window_since": header.since,
        "window_until": header.until,
        "status": (WindowStatus.COMPLETE if is_complete else WindowStatus.PARTIAL).value,
        "reason_code": None if is_complete else ReasonCode.LIST_REFUSED.value,
        "reason": None if is_complete else "; ".join(evidence.gaps),
        "conversations": counts.conversations,
        "messages": counts.messages,
        "messages_unavailable": counts.messages_unavailable,
        "incomplete_conversations": counts.incomplete_conversations,
        "calls": stats["calls"],
        "rate_limit_waits": stats["rate_limit_waits"],
        "rate_limit_wait_seconds": round(stats["rate_limit_wait_seconds"]),
        "left_out_fields": list(left_out_fields),
        "privacy_policy": header.privacy.policy,
        "privacy_key_id": header.privacy.key_id or None,
        "started_time": stats["started"],
        "finished_time": stats["finished"],
        "extracted_time": header.extracted_time,
    }


def shown_counts(counts: WindowCounts, stats: Mapping[str, Any], evidence: WindowEvidence) -> dict[str, Any]:
    """Return the manifest's stats: the counts and the costs."""
    shown = {
        "conversations": counts.conversations,
        "messages": counts.messages,
        "messages_unavailable": counts.messages_unavailable,
        "incomplete": counts.incomplete_conversations + len(evidence.gaps),
        "incomplete_by_status": dict(counts.incomplete_by_status),
        **stats,
    }
    return shown | {"gaps": list(evidence.gaps)} if evidence.gaps else shown
