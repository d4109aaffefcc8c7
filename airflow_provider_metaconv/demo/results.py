"""What a run left behind, read back from where users will find it: the manifests and the warehouse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_FAILURE = re.compile(r"(?:airflow_provider_metaconv|airflow)\.[\w.]*(?:Error|FailException): (.+)")

QUESTIONS = {
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
"""Questions that people ask of such a table, as they can be typed into DuckDB."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A question's answer: the names of its columns, and its rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Extracted:
    """One Page's platform and window as its manifest tells it."""

    page_id: str
    platform: str
    stats: dict[str, Any]

    @property
    def name(self) -> tuple[str, str]:
        """Page and platform."""
        return self.page_id, self.platform


def manifests(files: Path, until: datetime) -> Iterator[Extracted]:
    """The finished windows that end at that time."""
    for path in sorted(files.glob("platform=*/page_id=*/window=*/_manifest.json")):
        manifest = json.loads(path.read_bytes())
        if datetime.fromisoformat(manifest["window"]["until"]) == until:
            yield Extracted(manifest["page_id"], manifest["platform"], manifest["stats"])


def failures(log: Path) -> list[str]:
    """What tasks failed with, each once, as the log has it: this package's errors and Airflow's failing at once."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return list(dict.fromkeys(match[1] for line in lines if (match := _FAILURE.match(line))))


def ask(database: Path, query: str) -> Answer:
    """The answer of the warehouse to a query."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        result = connection.execute(query)
        return Answer([column[0] for column in result.description], result.fetchall())


def warehouse_counts(database: Path) -> dict[tuple[str, str], dict[str, int]]:
    """Rows in the tables by Page and platform: ``messages`` and ``conversations``."""
    query = """
        SELECT page_id, platform, count(*) FILTER (kind = 'm'), count(*) FILTER (kind = 'c')
        FROM (SELECT page_id, platform, 'm' AS kind FROM messages
              UNION ALL SELECT page_id, platform, 'c' FROM conversations)
        GROUP BY page_id, platform
    """
    rows = ask(database, query).rows
    return {(page, platform): {"messages": m, "conversations": c} for page, platform, m, c in rows}


def reasons(database: Path) -> list[tuple[str, str, str, int]]:
    """Why conversations are not complete: Page, platform, status with reason, how many."""
    query = """
        SELECT page_id, platform, status || ': ' || split_part(any_value(reason), ':', 1), count(*)
        FROM conversations WHERE status <> 'complete'
        GROUP BY page_id, platform, status, split_part(reason, ':', 1) ORDER BY ALL
    """
    return [(str(a), str(b), str(c), int(d)) for a, b, c, d in ask(database, query).rows]
