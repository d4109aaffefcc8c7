"""The names used in lineage; without OpenLineage nothing is reported."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from airflow_provider_metaconv.extract.extraction import ExtractionResult
from airflow_provider_metaconv.observability.lineage import (
    TableNamespace,
    extraction_lineage,
    files_folder,
    load_lineage,
)
from airflow_provider_metaconv.operators.load import (
    MetaConversationsToBigQueryOperator,
    MetaConversationsToDuckDBOperator,
)
from airflow_provider_metaconv.schema import MESSAGES
from airflow_provider_metaconv.warehouse.base import LoadResult, TableResult

FOLDER = "platform=messenger/page_id=100"
WINDOW = "window=begin_20261120T000000Z/_manifest.json"
HAS_OPENLINEAGE = "airflow.providers.openlineage" in sys.modules or (
    find_spec("openlineage") is not None and find_spec("airflow.providers.openlineage") is not None
)


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (f"gs://my-bucket/meta/{FOLDER}/{WINDOW}", ("gs://my-bucket", f"meta/{FOLDER}")),
        (f"gs://my-bucket/{WINDOW}", ("gs://my-bucket", "/")),
        (f"/data/{FOLDER}/{WINDOW}", ("file", f"/data/{FOLDER}")),
        (f"file:///data/{FOLDER}/{WINDOW}", ("file", f"/data/{FOLDER}")),
        ("by/hand/_manifest.json", ("file", f"{Path.cwd()}/by/hand")),
    ],
)
def test_a_window_is_reported_as_the_folder_above_it(manifest: str, expected: tuple[str, str]) -> None:
    assert files_folder(manifest) == expected


def test_tables_are_named_by_their_warehouse() -> None:
    duckdb = MetaConversationsToDuckDBOperator(task_id="a", manifests=[], database="/data/meta.duckdb", schema="raw")
    assert TableNamespace("duckdb:///data/meta.duckdb", "meta.raw") == duckdb.table_namespace()
    bigquery = MetaConversationsToBigQueryOperator(task_id="b", manifests=[], dataset="meta")
    bigquery.full_dataset = "my-project.meta"
    assert TableNamespace("bigquery", "my-project.meta") == bigquery.table_namespace()


def test_without_openlineage_nothing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage.extractors", None)
    extraction = ExtractionResult(f"/data/{WINDOW}", 1, 1, 0, 1, complete=True)
    assert extraction_lineage("100", "MESSENGER", extraction) is None
    assert load_lineage([f"/data/{WINDOW}"], TableNamespace.bigquery("p.d"), LoadResult.nothing()) is None


def test_a_task_that_has_done_nothing_reports_nothing() -> None:
    task = MetaConversationsToDuckDBOperator(task_id="a", manifests=[], database="/data/meta.duckdb")
    assert task.get_openlineage_facets_on_complete(None) is None


@pytest.mark.skipif(not HAS_OPENLINEAGE, reason="needs apache-airflow-providers-openlineage")
def test_bigquery_tables_have_columns_and_row_counts() -> None:
    counts = {"messages": TableResult(10, 5, 2, 3)}
    manifests = [f"gs://my-bucket/{FOLDER}/window=a/_manifest.json", f"gs://my-bucket/{FOLDER}/window=b/_manifest.json"]
    lineage = load_lineage(manifests, TableNamespace.bigquery("p.d"), LoadResult(counts))
    assert [(source.namespace, source.name) for source in lineage.inputs] == [("gs://my-bucket", FOLDER)]
    [table] = lineage.outputs
    assert (
        table.namespace,
        table.name,
        table.outputFacets["outputStatistics"].rowCount,
    ) == ("bigquery", "p.d.messages", 7)
    assert [field.name for field in table.facets["schema"].fields] == list(MESSAGES.column_names)
