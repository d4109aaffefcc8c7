"""The destinations of a demo: the ``Place`` protocol, and a local folder with DuckDB."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_metaconv.demo.results import Answer

COUNTS = "counts"
"""The name of a query that returns Page, platform, messages, conversations."""

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
"""Queries on the completeness ledger, in SQL that both DuckDB and BigQuery support."""


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
    def questions(self) -> Mapping[str, str]:
        """Typical questions to such tables, as SQL for the warehouse."""

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
        """Run a query, or the warehouse's own query under the name ``COUNTS``."""


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
            result = connection.execute(_QUERIES.get(query, query))
            return Answer([column[0] for column in result.description], result.fetchall())

    questions: Mapping[str, str] = {
        "Messages by day (the last seven)": """
            SELECT strftime(created_time::DATE, '%Y-%m-%d') AS day,
                   count(*) FILTER (direction = 'inbound') AS received,
                   count(*) FILTER (direction = 'outbound') AS sent
            FROM messages GROUP BY day ORDER BY day DESC LIMIT 7
        """,
        "Median time to the first response, per Page": """
            WITH turns AS (
                SELECT page_id, platform, conversation_id, created_time, direction,
                       lag(direction) OVER thread AS before,
                       min(created_time) FILTER (direction = 'outbound')
                           OVER (thread ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS answered
                FROM messages
                WINDOW thread AS (PARTITION BY platform, page_id, conversation_id ORDER BY created_time)
            )
            SELECT page_id, platform, count(*) AS questions,
                   round(median(epoch(answered - created_time)) / 60) AS minutes
            FROM turns
            WHERE direction = 'inbound' AND before IS DISTINCT FROM 'inbound' AND answered IS NOT NULL
            GROUP BY page_id, platform ORDER BY page_id, platform
        """,
        "Busiest hours (UTC)": """
            SELECT printf('%02d:00', hour(created_time)) AS hour, count(*) AS received
            FROM messages WHERE direction = 'inbound'
            GROUP BY 1 ORDER BY received DESC LIMIT 5
        """,
    }


_QUERIES = {
    COUNTS: """
        SELECT page_id, platform, count(*) FILTER (kind = 'm'), count(*) FILTER (kind = 'c')
        FROM (SELECT page_id, platform, 'm' AS kind FROM messages
              UNION ALL SELECT page_id, platform, 'c' FROM conversations)
        GROUP BY page_id, platform
    """,
}
