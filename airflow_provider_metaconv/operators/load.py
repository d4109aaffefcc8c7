"""Operators that put extracted files into a warehouse's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, BaseOperator, Context

from airflow_provider_metaconv.load.load import load_manifests
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY, MetaGraphRetryPolicy, fail_at_once


class MetaConversationsToDuckDBOperator(BaseOperator):
    """Merges the files of any number of manifests into the tables of a DuckDB file, all or nothing.

    ``manifests`` are manifest paths, or the extract operators' results as XCom hands them over (``extract.output``).
    Loading twice changes nothing. One process at a time may open a DuckDB file: give the task a pool of one slot.

    Without a manifest there is nothing to do, and the task is skipped. Returns the counts per table: rows ``staged``,
    ``inserted``, ``updated``, ``unchanged``.
    """

    template_fields: Sequence[str] = ("manifests", "database", "schema")

    def __init__(
        self,
        *,
        manifests: Iterable[str | Mapping[str, Any]] | str | Mapping[str, Any],
        database: str,
        schema: str = "main",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifests = manifests
        self.database = database
        self.schema = schema
        if HAS_RETRY_POLICY and self.retry_policy is None:
            self.retry_policy = MetaGraphRetryPolicy()

    def execute(self, context: Context) -> dict[str, Any]:
        """Verifies every file, then merges all of them in one transaction."""
        from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse

        try:
            uris = manifest_uris(self.manifests)
        except (TypeError, ValueError) as error:
            raise AirflowFailException(str(error)) from None
        if not uris:
            raise AirflowSkipException("There is no manifest to load: no extract task succeeded.")
        try:
            with DuckDBWarehouse(self.database, schema=self.schema) as warehouse:
                result = load_manifests(uris, warehouse)
        except Exception as error:
            if not HAS_RETRY_POLICY:
                fail_at_once(error)
            raise
        counts = {name: asdict(table) for name, table in result.tables.items()}
        self.log.info("Loaded into %s: %s", self.database, counts)
        return counts


def manifest_uris(manifests: Iterable[str | Mapping[str, Any]] | str | Mapping[str, Any]) -> list[str]:
    """The manifests' URIs from what users and XCom hand over: one or many, URIs or extract results.

    Raises ``ValueError`` for anything else.
    """
    if isinstance(manifests, str | Mapping):
        manifests = [manifests]
    if isinstance(manifests, Sequence):
        # XComs of mapped tasks are fetched one by one when iterated, and in one go as a slice.
        manifests = manifests[:]
    return [_uri(manifest) for manifest in manifests if manifest is not None]


def _uri(manifest: str | Mapping[str, Any]) -> str:
    uri = manifest.get("manifest") if isinstance(manifest, Mapping) else manifest
    if not isinstance(uri, str) or not uri:
        raise ValueError("manifests holds something that is no manifest: give paths, or the extract tasks' output.")
    return uri
