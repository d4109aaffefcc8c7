"""OpenLineage datasets that a task has read and written. OpenLineage is imported only when Airflow requests them.

Names follow https://openlineage.io/docs/spec/naming where it has a rule. A window is attributed to the folder above its
own, so that a catalog has one dataset per Page and platform, not one per run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from airflow_provider_metaconv.extract.extraction import ExtractionResult
from airflow_provider_metaconv.files.storage import local_path
from airflow_provider_metaconv.graph.client import BASE_URL
from airflow_provider_metaconv.schema import Table, table_named
from airflow_provider_metaconv.warehouse.base import LoadResult

WINDOW_LEVEL = "window="


@dataclass(frozen=True, slots=True)
class TableNamespace:
    """The OpenLineage namespace of a warehouse's tables, and the prefix of their names."""

    namespace: str
    prefix: str

    @classmethod
    def duckdb(cls, database: str, schema: str) -> TableNamespace:
        """A DuckDB file, named as in dbt's integration."""
        path = Path(database).absolute()
        return cls(f"duckdb://{path}", f"{path.stem}.{schema}")

    @classmethod
    def bigquery(cls, dataset: str) -> TableNamespace:
        """A BigQuery dataset, given with its project."""
        return cls("bigquery", dataset)


def extraction_lineage(page_id: str, platform: str, extraction: ExtractionResult) -> Any:
    """Return the lineage from a Page's conversations to the files' folder; None if OpenLineage is not installed."""
    facets, lineage = _openlineage()
    if lineage is None:
        return None
    source = facets.Dataset(BASE_URL, f"{page_id}/conversations?platform={platform.lower()}")
    statistics = facets.OutputStatisticsOutputDatasetFacet(rowCount=extraction.messages + extraction.conversations)
    target = facets.OutputDataset(
        *files_folder(extraction.manifest), facets={}, outputFacets={"outputStatistics": statistics}
    )
    return lineage(inputs=[source], outputs=[target])


def load_lineage(manifests: Iterable[str], place: TableNamespace, result: LoadResult) -> Any:
    """Return the lineage from the files' folders to the tables, with columns and row counts; None likewise."""
    facets, lineage = _openlineage()
    if lineage is None:
        return None
    sources = dict.fromkeys(files_folder(manifest) for manifest in manifests)
    targets = []
    for name, counts in result.tables.items():
        statistics = facets.OutputStatisticsOutputDatasetFacet(rowCount=counts.inserted + counts.updated)
        targets.append(
            facets.OutputDataset(
                place.namespace,
                f"{place.prefix}.{name}",
                facets={"schema": _schema(facets, table_named(name))},
                outputFacets={"outputStatistics": statistics},
            )
        )
    return lineage(inputs=[facets.Dataset(*source) for source in sources], outputs=targets)


def files_folder(manifest: str) -> tuple[str, str]:
    """Return the namespace and name of the folder that contains a manifest's window.

    >>> files_folder("gs://bucket/meta/platform=messenger/page_id=100/window=begin_20261121T000000Z/_manifest.json")
    ('gs://bucket', 'meta/platform=messenger/page_id=100')
    """
    namespace, path = "file", manifest
    if manifest.startswith("gs://"):
        bucket, _, path = manifest.removeprefix("gs://").partition("/")
        namespace = f"gs://{bucket}"
    elif (local := local_path(manifest)) is not None:
        path = str(local.absolute())
    folder = path.rpartition("/")[0]
    above, _, last = folder.rpartition("/")
    return namespace, (above if last.startswith(WINDOW_LEVEL) else folder) or "/"


def _schema(facets: Any, table: Table) -> Any:
    fields = [
        facets.SchemaDatasetFacetFields(column.name, column.type.value, column.description) for column in table.columns
    ]
    return facets.SchemaDatasetFacet(fields=fields)


def _openlineage() -> tuple[Any, Any]:
    """Return the facets and the ``OperatorLineage`` class, or None for both without the OpenLineage provider."""
    from airflow.providers.common.compat.openlineage import facet

    try:
        # Imported by name, because the provider is optional.
        return facet, import_module("airflow.providers.openlineage.extractors").OperatorLineage
    except ImportError:
        return None, None
