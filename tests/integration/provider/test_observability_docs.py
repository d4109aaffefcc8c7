"""The names in docs/operations/observability.md match the code."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from airflow_provider_metaconv import dag
from airflow_provider_metaconv.extract import attempt, extraction, stats
from airflow_provider_metaconv.get_provider_info import get_provider_info
from airflow_provider_metaconv.graph import client
from airflow_provider_metaconv.graph.client import BASE_URL
from airflow_provider_metaconv.observability.coverage_event import ACCESS_ASSET, COLUMNS, COVERAGE_ASSET
from airflow_provider_metaconv.observability.lineage import WINDOW_LEVEL, TableNamespace, files_folder
from airflow_provider_metaconv.observability.metrics import METRICS
from airflow_provider_metaconv.operators import extract, load
from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator
from airflow_provider_metaconv.operators.load import WRITTEN
from airflow_provider_metaconv.schema import TABLES

REPOSITORY = Path(__file__).parents[3]
DOCUMENT = (REPOSITORY / "docs" / "operations" / "observability.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    lines = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_documented_metrics_match_the_code() -> None:
    assert rows("Metrics") == [[f"`{m.name}`", m.kind, m.description] for m in METRICS]


def test_documented_links_match_the_operators() -> None:
    operators = [
        c
        for module in (extract, load)
        for c in vars(module).values()
        if isinstance(c, type) and c.__name__.startswith("MetaC")
    ]
    linked: dict[str, set[str]] = {}
    for operator in operators:
        for link in getattr(operator, "operator_extra_links", ()):
            linked.setdefault(link.name, set()).add(operator.__name__)
    documented = {name: on for cells, on, _ in rows("Links beside the task") for name in re.findall("`(.*?)`", cells)}
    assert set(documented) == set(linked)
    every_extract = {c.__name__ for c in operators if issubclass(c, extract.MetaConversationsExtractOperator)}
    for name, on in documented.items():
        expected = every_extract if on == "all extract operators" else set(re.findall("`(.*?)`", on))
        assert linked[name] == expected, name


def test_every_link_is_declared_by_the_provider() -> None:
    used = {
        f"{type(link).__module__}.{type(link).__name__}"
        for module in (extract, load)
        for operator in vars(module).values()
        for link in getattr(operator, "operator_extra_links", ())
    }
    assert used == set(get_provider_info()["extra-links"])


LOG_PHRASES: list[tuple[ModuleType, list[str]]] = [
    (
        stats,
        ["So far", "time left in it at this pace", "conversations, ", "fullest limit at", "read back to", "unknown"],
    ),
    (extraction, ["Reading ", "Continuing where an earlier attempt ended", "Done", "Partial"]),
    (attempt, ["Retrying in ", "conversations known from earlier runs instead of the list", "cannot be read: "]),
    (client, ["Waiting ", "before a retry: "]),
    (extract, ["Reading from ", "is not covered yet", "The window is partial: "]),
]


@pytest.mark.parametrize(("module", "phrases"), LOG_PHRASES, ids=[module.__name__ for module, _ in LOG_PHRASES])
def test_documented_log_lines_match_the_code(module: ModuleType, phrases: list[str]) -> None:
    source, documented = inspect.getsource(module), section("The task's log")
    assert [phrase for phrase in phrases if phrase not in source or phrase not in documented] == []


def test_documented_assets_and_map_index_match_the_dag() -> None:
    sample = inspect.getsource(dag)
    names = re.findall(r'Asset\("(\w+)"\)', sample)
    assert len(names) == 2
    names += [COVERAGE_ASSET, ACCESS_ASSET]
    assert [name for name in names if f"`{name}`" not in section("Asset events")] == []
    assert re.findall(r'map_index_template="(.*)"', sample)[0] in section("The task's log")


def test_the_documented_event_has_the_keys_of_the_code() -> None:
    [example] = [json.loads(code) for code in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)]
    assert set(example) == {table.name for table in TABLES} | {"pages", "window", "incomplete"}
    assert {name: set(example[name]) for name in (t.name for t in TABLES)} == {t.name: set(WRITTEN) for t in TABLES}


def test_documented_coverage_columns_match_the_code() -> None:
    assert rows("Coverage events") == [[f"`{name}`", description] for name, description in COLUMNS.items()]


def test_documented_lineage_names_match_the_code() -> None:
    text = section("OpenLineage")
    assert f"`{BASE_URL}`" in text
    assert f"`{WINDOW_LEVEL}…`" in text
    assert {files_folder(f"{start}/a/m")[0] for start in ("gs://bucket", "")} == {"gs://bucket", "file"}
    assert tuple(getattr(TableNamespace.bigquery("project.dataset"), name) for name in ("namespace", "prefix")) == (
        "bigquery",
        "project.dataset",
    )
    duckdb = TableNamespace.duckdb("/path/of/the.duckdb", "main")
    assert f"`{duckdb.namespace}`" in text
    assert hasattr(MetaConversationsToLocalFilesystemOperator, "get_openlineage_facets_on_complete")
