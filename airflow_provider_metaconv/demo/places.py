"""The destinations of a demo: the ``Place`` protocol, and a local folder with DuckDB."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_metaconv.demo.results import Answer

# All queries are SQL that both DuckDB and BigQuery support.

COUNTS = """
    SELECT page_id, platform, SUM(messages) AS messages, SUM(conversations) AS conversations
    FROM (
        SELECT page_id, platform, 1 AS messages, 0 AS conversations FROM messages
        UNION ALL
        SELECT page_id, platform, 0 AS messages, 1 AS conversations FROM conversations
    ) AS counted
    GROUP BY page_id, platform
"""

ANSWERS: Mapping[str, str] = {
    "How long do customers wait for an answer? (view reply_times)": """
        SELECT platform || '/' || page_id AS page,
               SUM(CASE WHEN bucket = '0-1h' THEN 1 ELSE 0 END) AS within_1h,
               SUM(CASE WHEN bucket = '1-4h' THEN 1 ELSE 0 END) AS within_4h,
               SUM(CASE WHEN bucket = '4-8h' THEN 1 ELSE 0 END) AS within_8h,
               SUM(CASE WHEN bucket = '8-24h' THEN 1 ELSE 0 END) AS within_24h,
               SUM(CASE WHEN bucket = '24h+' THEN 1 ELSE 0 END) AS longer,
               COUNT(*) AS answered, SUM(CASE WHEN is_complete THEN 1 ELSE 0 END) AS complete
        FROM reply_times WHERE answered_time IS NOT NULL GROUP BY page ORDER BY page
    """,
    "Who has waited longest? (view unanswered)": """
        SELECT platform || '/' || page_id AS page, conversation_id, CAST(waiting_since AS STRING) AS waiting_since,
               messages, is_complete
        FROM unanswered ORDER BY unanswered.waiting_since, conversation_id LIMIT 5
    """,
    "The busiest hours, in UTC (view reply_times)": """
        SELECT EXTRACT(HOUR FROM asked_time) AS hour, COUNT(*) AS asked,
               SUM(CASE WHEN is_complete THEN 1 ELSE 0 END) AS complete
        FROM reply_times GROUP BY hour ORDER BY asked DESC, hour LIMIT 5
    """,
}
"""Questions that the views answer."""

LEDGER: Mapping[str, str] = {
    "The ledger: windows (table extraction_windows)": """
        SELECT platform || '/' || page_id AS page,
               CASE WHEN window_since IS NULL THEN 'all' ELSE 'next' END || ' until ' || CAST(window_until AS STRING)
                   AS period,
               status, conversations, messages, incomplete_conversations AS incomplete
        FROM extraction_windows ORDER BY window_until, page
    """,
    "The ledger: what is missing, by window (table conversation_gaps)": """
        SELECT platform || '/' || page_id AS page,
               CASE WHEN window_since IS NULL THEN 'all' ELSE 'next' END || ' until ' || CAST(window_until AS STRING)
                   AS period,
               reason_code, COUNT(*) AS conversations, SUM(messages_unavailable) AS messages,
               COUNT(closed_by_window) AS closed
        FROM conversation_gaps GROUP BY page, period, reason_code ORDER BY period, page, reason_code
    """,
}
"""Queries on the completeness ledger."""


class Place(Protocol):
    """The files and tables of one demo; ``command`` is the command that starts it."""

    command: str
    row_as_text: str
    """SQL for all columns of the row ``each_row`` as one text."""

    @property
    def variable(self) -> dict[str, Any]:
        """The settings for the sample DAG's Variable."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that Airflow needs to access it."""

    @property
    def lines(self) -> list[str]:
        """Where the files and tables are."""

    def clean(self) -> None:
        """Remove what an earlier demo left there."""

    def manifests(self) -> Iterator[bytes]:
        """Yield the manifests of all finished windows."""

    def receipts(self) -> Iterator[tuple[str, bytes]]:
        """Yield where each receipt of an erasure is, and its content."""

    def ask(self, query: str) -> Answer:
        """Run a query that both DuckDB and BigQuery support."""


class LocalPlace:
    """Files in a folder, tables in a DuckDB file."""

    # Make sets MAKELEVEL; an installed wheel has no Makefile.
    command = "make demo" if "MAKELEVEL" in os.environ else "python -m airflow_provider_metaconv.demo"
    row_as_text = "CAST(each_row AS VARCHAR)"
    environment: Mapping[str, str] = {"META_CONVERSATIONS_WAREHOUSE": "duckdb"}

    def __init__(self, folder: Path) -> None:
        self._files = folder / "files"
        self._database = folder / "meta_conversations.duckdb"

    @property
    def variable(self) -> dict[str, Any]:
        """The folder and the DuckDB file."""
        return {"destination": str(self._files), "database": str(self._database)}

    @property
    def lines(self) -> list[str]:
        """The two paths."""
        return [f"Files:    {self._files}", f"DuckDB:   {self._database}"]

    def clean(self) -> None:
        """Remove files and tables."""
        shutil.rmtree(self._files, ignore_errors=True)
        self._database.unlink(missing_ok=True)

    def manifests(self) -> Iterator[bytes]:
        """Yield the manifests of all finished windows."""
        for path in sorted(self._files.glob("platform=*/page_id=*/window=*/_manifest.json")):
            yield path.read_bytes()

    def receipts(self) -> Iterator[tuple[str, bytes]]:
        """Yield where each receipt of an erasure is, and its content."""
        for path in sorted(self._files.glob("_erasures/*.json")):
            yield str(path), path.read_bytes()

    def ask(self, query: str) -> Answer:
        """Return DuckDB's result."""
        import duckdb

        with duckdb.connect(str(self._database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            result = connection.execute(query)
            return Answer([column[0] for column in result.description], result.fetchall())
