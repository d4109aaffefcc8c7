"""What was read from where and written to where, as OpenLineage datasets; imports OpenLineage only when asked.

Names follow https://openlineage.io/docs/spec/naming where it has a rule. A window's folder counts to the folder above
it, so that a catalog knows one data set per Page and platform and not one more with each run.
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
    """Where a warehouse's tables are: the namespace, and the prefix of a table's name."""

    namespace: str
    prefix: str

    @classmethod
    def duckdb(cls, database: str, schema: str) -> TableNamespace:
        """A DuckDB file, as dbt's integration names it."""
        path = Path(database).absolute()
        return cls(f"duckdb://{path}", f"{path.stem}.{schema}")

    @classmethod
    def bigquery(cls, dataset: str) -> TableNamespace:
        """A dataset with its project."""
        return cls("bigquery", dataset)


def extraction_lineage(page_id: str, platform: str, extraction: ExtractionResult) -> Any:
    """An ``OperatorLineage``: a Page's conversations to the folder of files; None where there is no OpenLineage."""
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
    """Likewise: the folders of files to the tables, with their columns and how many rows were written."""
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
    """Namespace and name of the folder that holds a manifest's window.

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
    """The facets, and the class of what an operator returns; None for both without OpenLineage's provider."""
    from airflow.providers.common.compat.openlineage import facet

    try:
        # Loaded by name: the provider is only where lineage is wanted.
        return facet, import_module("airflow.providers.openlineage.extractors").OperatorLineage
    except ImportError:
        return None, None
