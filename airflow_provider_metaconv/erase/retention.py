"""The use case: messages that are older than a time leave files and tables, once a day.

What was done is recorded in the destination, so that the other runs of the day end after one read. Files come first:
once they have gone, no load brings their rows back. A task that is killed is run again, and does what is left.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from airflow_provider_metaconv.erase.erase import OpenWarehouse
from airflow_provider_metaconv.erase.old_files import remove_old_from_files
from airflow_provider_metaconv.files.errors import NotPublishedError, UnusableFileError
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.window import iso

logger = logging.getLogger(__name__)

RECORDS = "_retention"


@dataclass(frozen=True, slots=True)
class Removed:
    """What has left: the number of windows whose files changed, and of rows, by table name. No IDs."""

    cutoff: str
    windows: int
    files: Mapping[str, int]
    tables: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "cutoff": self.cutoff,
            "windows": self.windows,
            "files": dict(self.files),
            "tables": dict(self.tables),
        }


def remove_old(
    root: Storage,
    cutoff: datetime,
    retention: timedelta,
    open_warehouse: OpenWarehouse | None = None,
    warehouse_name: str = "",
) -> Removed:
    """Remove messages before ``cutoff`` from a destination and a warehouse, once for each cutoff.

    The cutoff is that of ``retention``, which a warehouse may need to expire messages by itself. ``warehouse_name``
    tells several warehouses of one destination apart. Raises ``StorageError``, ``ManifestError`` or
    ``WarehouseError`` if files or tables cannot be changed now. Run it again then.
    """
    record = _Record(root, warehouse_name)
    before = record.read()
    if before == (iso(cutoff), True):
        logger.info("Messages before %s have already been removed", iso(cutoff))
        return Removed(iso(cutoff), 0, {}, {})
    record.write(cutoff, is_done=False)
    files = remove_old_from_files(root, cutoff)
    with nullcontext() if open_warehouse is None else open_warehouse() as warehouse:
        # An attempt that began and did not end may have deleted rows that are still in free blocks.
        was_interrupted = before is not None and not before[1]
        tables = warehouse.remove_old(cutoff, retention, was_interrupted=was_interrupted) if warehouse else {}
    record.write(cutoff, is_done=True)
    removed = Removed(iso(cutoff), files.windows, dict(sorted(files.rows.items())), tables)
    logger.info("Messages before %s have been removed: %s", removed.cutoff, removed.as_dict())
    return removed


class _Record:
    """Which cutoff was applied last to a destination and one warehouse."""

    def __init__(self, root: Storage, warehouse_name: str) -> None:
        self._folder = root.child(RECORDS)
        # The name may contain more than others should read.
        self._name = f"{hashlib.sha256(warehouse_name.encode()).hexdigest()[:16]}.json"

    def read(self) -> tuple[str, bool] | None:
        """Return the cutoff, and whether all older messages had left; None before the first time."""
        try:
            content = orjson.loads(self._folder.read(self._name))
            return str(content["cutoff"]), content["finished"] is not None
        except NotPublishedError:
            return None
        except (UnusableFileError, ValueError, KeyError, TypeError):
            logger.warning("%s is unusable, so old messages are removed again", self._folder.uri(self._name))
            return "", False

    def write(self, cutoff: datetime, *, is_done: bool) -> None:
        """Record that the removal has begun or is done."""
        finished = iso(datetime.now(UTC).replace(microsecond=0)) if is_done else None
        content = {"version": 1, "cutoff": iso(cutoff), "finished": finished}
        self._folder.publish_bytes(
            orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), self._name
        )
