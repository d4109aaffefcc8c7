"""The ``sources.yml`` of the dbt example, from the schema and the views: ``python -m tools.dbt_sources``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_metaconv.schema import TABLES
from airflow_provider_metaconv.warehouse.views import VIEWS

SOURCES = Path(__file__).parents[1] / "docs" / "dbt" / "models" / "sources.yml"


def sources() -> str:
    """The text of the file. A JSON string is a valid string of YAML."""
    return "\n".join([*_lines(), ""])


def _lines() -> Iterator[str]:
    yield "# Generated from the schema: python -m tools.dbt_sources"
    yield "version: 2"
    yield "sources:"
    yield "  - name: meta_conversations"
    yield "    database: \"{{ env_var('META_CONVERSATIONS_DATABASE', target.database) }}\""
    yield "    schema: \"{{ env_var('META_CONVERSATIONS_SCHEMA', target.schema) }}\""
    yield "    tables:"
    for table in TABLES:
        columns = [(column.name, column.description, column.required) for column in table.columns]
        yield from _table(table.name, table.description, columns)
    for view in VIEWS:
        described = [(name, text, name in {"platform", "page_id", "is_complete"}) for name, _, text in view.columns]
        yield from _table(view.name, view.question, described)


def _table(name: str, description: str, columns: list[tuple[str, str, bool]]) -> Iterator[str]:
    yield f"      - name: {name}"
    yield f"        description: {json.dumps(description)}"
    yield "        columns:"
    for column, text, is_required in columns:
        yield f"          - name: {column}"
        yield f"            description: {json.dumps(text)}"
        if is_required:
            yield "            data_tests: [not_null]"


if __name__ == "__main__":
    SOURCES.write_text(sources(), "utf-8")
