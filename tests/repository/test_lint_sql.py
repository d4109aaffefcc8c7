"""``make check`` lints every statement that the warehouses run."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("google.cloud.bigquery")

from airflow_provider_metaconv.warehouse.duckdb import sql as duckdb
from tools.lint_sql import bigquery_statements, duckdb_statements, findings

DUCKDB = Path(duckdb.__file__).with_name("templates")
BIGQUERY = DUCKDB.parents[1] / "bigquery" / "templates"


def test_every_template_for_duckdb_is_rendered():
    templates = {path.name: path.read_text("utf-8") for path in DUCKDB.iterdir()}
    rendered = [name for name, _ in duckdb_statements()]
    statements = {name for name in templates if any(each.startswith(name.removesuffix(".sql")) for each in rendered)}
    included = {name for name in templates if any(f'"{name}"' in text for text in templates.values())}
    assert statements | included == templates.keys()


def test_every_template_for_bigquery_is_part_of_a_script():
    templates = {path.name: path.read_text("utf-8") for path in BIGQUERY.iterdir()}
    rendered = [name for name, _ in bigquery_statements()]
    scripts = {name for name in templates if any(each.startswith(name.removesuffix(".sql")) for each in rendered)}
    included = {name for name in templates if any(f'"{name}"' in text for text in templates.values())}
    # load.sql includes them by the name of their table.
    merges = {path.name for path in BIGQUERY.glob("merge_*.sql")}
    assert scripts | included | merges == templates.keys()


@pytest.mark.parametrize("dialect", ["duckdb", "bigquery"])
def test_an_unparsable_statement_is_found(tmp_path, dialect):
    found = findings(tmp_path / dialect, dialect, {"wrong.sql": "SELECT a FROM WHERE b;\n"})
    assert "wrong.sql" in found
