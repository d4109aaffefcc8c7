"""Lints every statement that the warehouses run with sqlfluff, rendered from its template, in its own dialect."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.privacy.traces import TRACES
from airflow_provider_metaconv.schema import TABLES
from airflow_provider_metaconv.warehouse.bigquery import sql as bigquery
from airflow_provider_metaconv.warehouse.bigquery.load_state import Staging
from airflow_provider_metaconv.warehouse.duckdb import sql as duckdb
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from airflow_provider_metaconv.warehouse.views import VIEWS

_CONFIGURATION = """
[sqlfluff]
templater = raw
large_file_skip_byte_limit = 0
# Excluded: rules about names and column lists, which are generated, quoted and on one line of any length; rules that
# do not support USING or semi joins, which name a column once; rules about a variable that is selected under its own
# name; the rule about LIMIT 0; and the rule that puts plain columns first, because views have them as documented.
exclude_rules = layout.long_lines, layout.select_targets, layout.set_operators, layout.indent, layout.cte_newline,
    references.quoting, references.keywords, references.qualification, structure.using, structure.subquery,
    structure.column_order,
    structure.join_condition_order, aliasing.required, aliasing.expression, aliasing.self_alias.column,
    ambiguous.order_by_limit

[sqlfluff:rules:capitalisation.types]
extended_capitalisation_policy = upper
# Parameters of a macro, which sqlfluff takes for types.
ignore_words = status, sender, body, attachments, shares, story, nested, ids

[sqlfluff:rules:capitalisation.functions]
ignore_words = completeness_rank, listed, names_one, has_reaction_of_one, mentions_one
"""

VIEW_OPTIONS = (
    ViewOptions(),
    ViewOptions(time_zone="GMT", business_days=("mon",), business_from="09:00", business_to="17:00"),
)
"""Without and with business hours."""


def main() -> int:
    """Prints sqlfluff's findings by dialect and file. Returns 0 if there are none."""
    dialects = {"duckdb": dict(duckdb_statements()), "bigquery": dict(bigquery_statements())}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        texts = pool.map(lambda item: findings(Path(folder, item[0]), *item), dialects.items())
        print(text := "".join(texts), end="")
    return int(text != "")


def duckdb_statements() -> Iterator[tuple[str, str]]:
    """File names and statements for DuckDB."""
    for template in sorted(Path(duckdb.__file__).with_name("templates").glob("*.sql")):
        if template.stem in {"missing", "covered", "open_gaps"} or template.stem.startswith(
            ("stage_", "eras", "window_", "view_")
        ):
            continue
        yield template.name, duckdb.load_statements(template.name, "main")
    for name in ("erase_rows", "erase_time_ranges", "erasure_counts", "erasure_conversations", "window_policies"):
        for scope in Scope:
            yield f"{name}_{scope}.sql", duckdb.erasure_statements(f"{name}.sql", "main", scope)
    for view, options in itertools.product(VIEWS, VIEW_OPTIONS):
        yield f"view_{view.name}_{options.time_zone}.sql", duckdb.view_statement(view, "main", options)
    for table in TRACES:
        for name in ("erase_traces", "erasure_traces"):
            statement = duckdb.erasure_statements(f"{name}.sql", "main", Scope.OWN, table)
            yield f"{name}_{table.name}.sql", statement
    for table in TABLES:
        yield f"missing_{table.name}.sql", duckdb.missing_statement(table, "main", table_exists=True)
        yield f"missing_without_{table.name}.sql", duckdb.missing_statement(table, "main", table_exists=False)
        for file_format in ("ndjson", "parquet"):
            # sqlfluff does not know DuckDB's named parameters.
            statement = duckdb.stage_statement(file_format, table).replace("$files", "['part']")
            yield f"stage_{file_format}_{table.name}.sql", statement


def bigquery_statements() -> Iterator[tuple[str, str]]:
    """File names and scripts for BigQuery. A script is valid only with all its parts rendered."""
    both = {
        table: [Staging(table.name, kind, f"staging_{table.name}_{kind}", 0, 1, ()) for kind in ("ndjson", "parquet")]
        for table in TABLES
    }
    columns = {table: table.column_names for table in TABLES}
    dataset = bigquery.identifier("project", "dataset")
    yield "load.sql", bigquery.load_script(dataset, both)
    yield "load_one_table.sql", bigquery.load_script(dataset, {TABLES[0]: both[TABLES[0]]})
    yield "missing.sql", bigquery.missing_script(dataset, both, columns)
    yield "missing_without_tables.sql", bigquery.missing_script(dataset, both, {})
    yield "remove_old.sql", bigquery.retention_script(dataset)
    for name in ("erase", "erasure_counts", "erasure_conversations", "window_policies"):
        for scope in Scope:
            yield f"{name}_{scope}.sql", bigquery.erasure_script(f"{name}.sql", dataset, scope)
    for view, options in itertools.product(VIEWS, VIEW_OPTIONS):
        statement = bigquery.view_statement(view, dataset, options, {"source": "provider"})
        yield f"view_{view.name}_{options.time_zone}.sql", statement
    for table in TRACES:
        script = bigquery.erasure_script("erasure_traces.sql", dataset, Scope.OWN, table=table)
        yield f"erasure_traces_{table.name}.sql", script


def findings(folder: Path, dialect: str, statements: dict[str, str]) -> str:
    """sqlfluff's findings for these statements, by file name; empty if there are none. Creates ``folder``.

    Statements that are equal, such as views without business hours, are linted once.
    """
    folder.mkdir()
    (folder / ".sqlfluff").write_text(_CONFIGURATION, "utf-8")
    for statement, name in {statement: name for name, statement in statements.items()}.items():
        (folder / name).write_text(statement, "utf-8")
    sqlfluff = str(Path(sys.executable).with_name("sqlfluff"))
    command = [sqlfluff, "lint", "--dialect", dialect, "--disable-progress-bar", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{dialect}\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    sys.exit(main())
