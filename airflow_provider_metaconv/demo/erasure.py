"""The last part of the demo: who is erased, and whether the tables still name them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from airflow_provider_metaconv.demo.places import Place

TABLES = ("messages", "conversations", "conversation_gaps", "extraction_windows")

PERSON = """
    SELECT sender_id FROM messages WHERE platform = 'MESSENGER' AND direction = 'inbound'
    GROUP BY sender_id ORDER BY COUNT(*) DESC, sender_id LIMIT 1
"""
"""The person on Messenger who wrote most, in SQL that both DuckDB and BigQuery support."""


@dataclass(frozen=True, slots=True)
class Erased:
    """A receipt, and the rows of all tables with the person's ID in any column, before and after."""

    receipt: str
    content: dict[str, Any]
    before: int
    after: int

    @property
    def is_complete(self) -> bool:
        """Whether there was something to erase, and neither the erasure nor the demo's own search finds it again."""
        return self.before > 0 and self.after == 0 and not any(self.content["remaining"].values())

    @property
    def line(self) -> str:
        """The rows that were removed, by place, and what is left."""
        erased = self.content["erased"]
        counts = {"files": sum(erased["files"]["rows"].values()), **erased["tables"]}
        removed = ", ".join(f"{count:,} from {place}" for place, count in counts.items() if count)
        return f"Erased one person, in rows: {removed}; {sum(self.content['remaining'].values()):,} remaining."

    @property
    def proof(self) -> str:
        """What the demo's own search found."""
        return f"Rows of the tables with their ID: {self.before:,} before, {self.after:,} now."


def person(place: Place) -> str:
    """Return the ID of the person who is erased."""
    [(found,)] = place.ask(PERSON).rows
    return str(found)


def rows_with(place: Place, text: str) -> int:
    """Count the rows of all tables that have a text in any column."""
    # Nothing here is from outside: the text is an ID of the emulator.
    rows = " UNION ALL ".join(f"SELECT {place.row_as_text} AS written FROM {table} AS each_row" for table in TABLES)  # noqa: S608
    [(count,)] = place.ask(f"SELECT COUNT(*) FROM ({rows}) AS rows_as_text WHERE STRPOS(written, '{text}') > 0").rows  # noqa: S608
    return int(count)


def erased(place: Place, before: int, after: int) -> Erased:
    """Return the result of the one erasure in the place."""
    [(receipt, content)] = place.receipts()
    return Erased(receipt, json.loads(content), before, after)
