"""Files and tables of the release before, and what the files become in the tables of this one."""

import gzip
import json
from pathlib import Path

from airflow_provider_metaconv.files.manifest import MANIFEST_NAME, Manifest
from airflow_provider_metaconv.schema import CONVERSATIONS, TABLES
from airflow_provider_metaconv.warehouse import SourceFile

FOLDER = Path(__file__).parent
LATER = "2026-11-23T00:00:00+00:00"
NEW_COLUMNS = {
    "messages": {"extra"},
    "conversations": {"unread_count", "can_reply", "is_subscribed", "link", "folder", "folder_time", "extra"},
    "conversation_gaps": set(),
    "extraction_windows": set(),
}


def files(file_format, platforms=("messenger", "instagram")):
    """The files of these windows, as a load finds them."""
    found = []
    for platform in platforms:
        folder = FOLDER / file_format / platform
        manifest = Manifest.from_bytes((folder / MANIFEST_NAME).read_bytes())
        found += [SourceFile(str(folder / f.path), f.table, f.file_format, f.rows) for f in manifest.files]
    return found


def rows(table_name, platforms=("messenger", "instagram")):
    """The rows of the files, ordered by key, with nulls for the new columns and without the cost of the run."""
    [table] = [table for table in TABLES if table.name == table_name]
    found = []
    for source in files("ndjson", platforms):
        if source.table == table_name:
            with gzip.open(source.uri, "rt", encoding="utf-8") as lines:
                found += [json.loads(line) for line in lines]
    for row in found:
        assert set(table.column_names) - row.keys() == NEW_COLUMNS[table_name]
    whole = [dict.fromkeys(table.column_names) | row for row in found]
    return sorted(whole, key=lambda row: [row[name] for name in table.key])


def without_costs(found):
    """Rows without the times of the run that wrote them, which differ between the two formats."""
    times = ("started_time", "finished_time", "rate_limit_wait_seconds")
    return [{name: value for name, value in row.items() if name not in times} for row in found]


def duckdb_tables():
    """The statements that create the tables in DuckDB."""
    return (FOLDER / "duckdb.sql").read_text("utf-8")


def bigquery_tables():
    """The columns of each table in BigQuery: name, type and mode."""
    return json.loads((FOLDER / "bigquery.json").read_text("utf-8"))


def later_version(files):
    """A later version of the first conversation, as this release writes it, and its file."""
    [old, *_] = rows("conversations")
    new = old | {"unread_count": 2, "can_reply": True, "is_subscribed": False, "link": "/100/inbox/1/"}
    new |= {"folder": "page_done", "folder_time": LATER, "extra": {"is_owner": True}, "extracted_time": LATER}
    return new, files(new, table=CONVERSATIONS)
