"""Warehouses that the extracted files are merged into, one subpackage each. A load is all or nothing."""

from airflow_provider_metaconv.warehouse.base import LoadResult, SourceFile, TableResult, Warehouse
from airflow_provider_metaconv.warehouse.errors import (
    PolicyConflictError,
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
    "PolicyConflictError",
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
