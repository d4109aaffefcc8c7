"""Warehouses that a run's files are merged into, all or nothing; each is one place of its own below here."""

from airflow_provider_metaconv.warehouse.base import LoadResult, SourceFile, TableResult, Warehouse
from airflow_provider_metaconv.warehouse.errors import (
    RowCountError,
    SchemaConflictError,
    SourceFileError,
    WarehouseBusyError,
    WarehouseError,
    WarehouseOpenError,
    WarehouseRefusedError,
)

__all__ = [
    "LoadResult",
    "RowCountError",
    "SchemaConflictError",
    "SourceFile",
    "SourceFileError",
    "TableResult",
    "Warehouse",
    "WarehouseBusyError",
    "WarehouseError",
    "WarehouseOpenError",
    "WarehouseRefusedError",
]
