"""Compaction: a deleted row stays in the file's free blocks until the database is copied into a new file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_metaconv.warehouse.duckdb.errors import disk_error, import_duckdb
from airflow_provider_metaconv.warehouse.duckdb.sql import identifier, literal
from airflow_provider_metaconv.warehouse.errors import WarehouseError, WarehouseRefusedError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from airflow_provider_metaconv.warehouse.duckdb.connection import OpenDatabase

_COPY, _PROBE = "metaconv_copy", "metaconv_probe"
_SIDE_FILES = (".wal", ".wal.checkpoint", ".wal.recovery")
"""What DuckDB writes beside a database. None of them exists after a checkpoint."""

_CATALOG = {
    "tables": "SELECT schema_name, table_name, sql, comment FROM duckdb_tables()",
    "columns": "SELECT schema_name, table_name, column_name, data_type, column_default, comment FROM duckdb_columns()",
    # Not their text: DuckDB removes the database's own name from it.
    "views": "SELECT schema_name, view_name, comment FROM duckdb_views()",
    "indexes": "SELECT schema_name, index_name, sql, comment FROM duckdb_indexes()",
    "sequences": "SELECT schema_name, sequence_name, increment_by, min_value, max_value, cycle, comment"
    " FROM duckdb_sequences()",
    "types": "SELECT schema_name, type_name, logical_type, labels, comment FROM duckdb_types()",
    "macros": "SELECT schema_name, function_name, parameters, macro_definition, comment FROM duckdb_functions()",
    "schemas": "SELECT schema_name, comment FROM duckdb_schemas()",
    "triggers": "SELECT schema_name, table_name, trigger_name, sql FROM duckdb_triggers()",
}
_WITHOUT_INTERNAL = frozenset({"indexes", "sequences", "triggers"})
_FIRST_WITH_FOREIGN_KEYS = 2
"""Earlier versions copy a table before the table that it refers to, and fail."""


def copy_path(path: Path) -> Path:
    """Return where the copy of a database is written: beside it, so that it can take its place."""
    real = path.resolve()
    return real.with_name(f".{real.name}.compacting")


def writable_paths(path: Path) -> set[str]:
    """Return the paths that DuckDB must be allowed to write to copy this database."""
    copy = str(copy_path(path))
    return {copy, *(f"{copy}{ending}" for ending in _SIDE_FILES)}


def remove_leftovers(path: Path) -> None:
    """Delete what an erasure or a load that was killed has left beside the database, which this process holds."""
    for name in writable_paths(path):
        Path(name).unlink(missing_ok=True)
    for spilled in Path(f"{path}.tmp").glob("duckdb_temp_*"):
        spilled.unlink(missing_ok=True)


def check_copyable(connection: DuckDBPyConnection, path: Path) -> None:
    """Raise ``WarehouseError`` unless all objects of the database can be copied, and its disk has space for them."""
    duckdb = import_duckdb()
    if path.stat().st_nlink > 1:
        raise WarehouseRefusedError(
            f"the DuckDB file {path} has other names (hard links), which would keep what is erased: delete them"
        )
    if int(duckdb.__version__.partition(".")[0]) < _FIRST_WITH_FOREIGN_KEYS and _has_foreign_keys(connection):
        raise WarehouseRefusedError(f"{_cannot(path)} its foreign keys: drop them, or install DuckDB 2")
    name = _name(connection)
    connection.execute(f"ATTACH ':memory:' AS {_PROBE}")
    try:
        connection.execute(f"COPY FROM DATABASE {identifier(name)} TO {_PROBE} (SCHEMA)")
        different = _differences(connection, name, _PROBE)
    except duckdb.Error as error:
        raise WarehouseRefusedError(f"{_cannot(path)} an object in it ({type(error).__name__}): drop it") from None
    finally:
        connection.execute(f"DETACH {_PROBE}")
    if different:
        raise WarehouseRefusedError(f"{_cannot(path)} its {', '.join(different)}: drop those that it cannot copy")
    needed, free = _used_bytes(connection), shutil.disk_usage(path.parent).free
    if needed > free:
        raise WarehouseError(
            f"erasing from the DuckDB file {path} copies it, which takes up to {needed} bytes, but {path.parent} has "
            f"only {free}: free space there, then run the task again"
        )


def compact(database: OpenDatabase, connection: DuckDBPyConnection, path: Path) -> None:
    """Replace the file by a copy that holds only its live rows, atomically. The connection is closed then.

    Raises ``WarehouseError``, which says that the erased rows' bytes are still there, if that is not possible.
    """
    try:
        try:
            copy = write_copy(connection, path)
        except BaseException:
            remove_leftovers(path)
            raise
        database.replace(copy)
    except (import_duckdb().Error, OSError) as error:
        problem = disk_error(path, error)
        raise _not_compacted(path, str(problem).partition(":")[0] if problem else type(error).__name__) from None


def write_copy(connection: DuckDBPyConnection, path: Path) -> Path:
    """Copy the live rows into a new file, and return its path. The database has no other file than its own then."""
    copy, name = copy_path(path), _name(connection)
    connection.execute("CHECKPOINT")
    beside = [ending for ending in _SIDE_FILES if Path(f"{path}{ending}").exists()]
    if beside:
        raise _not_compacted(path, f"its {beside[0]} file is in use")
    connection.execute(f"ATTACH {literal(str(copy))} AS {_COPY} ({_storage_options(connection, name)})")
    try:
        connection.execute(f"COPY FROM DATABASE {identifier(name)} TO {_COPY}")
        different = _differences(connection, name, _COPY) or different_counts(connection, name, _COPY)
    finally:
        connection.execute(f"DETACH {_COPY}")
    if different:
        raise _not_compacted(path, f"the copy has other {', '.join(different)}")
    return copy


def _cannot(path: Path) -> str:
    return f"nothing was erased, because erasing copies the DuckDB file {path}, and DuckDB cannot copy"


def _not_compacted(path: Path, reason: str) -> WarehouseError:
    return WarehouseError(
        f"the rows are erased from the tables, but their bytes are still in the DuckDB file {path} ({reason}): "
        "run the task again, which copies the file again"
    )


def _name(connection: DuckDBPyConnection) -> str:
    return str(_value(connection, "SELECT current_database()"))


def _used_bytes(connection: DuckDBPyConnection) -> int:
    sql = "SELECT block_size * used_blocks FROM pragma_database_size() WHERE database_name = current_database()"
    return int(_value(connection, sql) or 0)


def _storage_options(connection: DuckDBPyConnection, name: str) -> str:
    """Return the options that give the copy the format of the file, so that whoever could read it still can."""
    block_size = _value(connection, "SELECT block_size FROM pragma_database_size() WHERE database_name = $name", name)
    version = _value(
        connection, "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = $name", name
    )
    options = [f"BLOCK_SIZE {int(block_size)}"]
    if version:
        options.append(f"STORAGE_VERSION {literal(str(version).partition('+')[0])}")
    return ", ".join(options)


def _has_foreign_keys(connection: DuckDBPyConnection) -> bool:
    sql = (
        "SELECT count(*) FROM duckdb_constraints()"
        " WHERE database_name = current_database() AND constraint_type = 'FOREIGN KEY'"
    )
    return bool(_value(connection, sql))


def _differences(connection: DuckDBPyConnection, name: str, copy: str) -> list[str]:
    """Return the kinds of objects that the copy has not all, or has different ones of."""
    return [kind for kind in _CATALOG if _objects(connection, kind, name) != _objects(connection, kind, copy)]


def _objects(connection: DuckDBPyConnection, kind: str, name: str) -> list[str]:
    duckdb = import_duckdb()
    only_own = "" if kind in _WITHOUT_INTERNAL else " AND NOT internal"
    try:
        rows = connection.execute(f"{_CATALOG[kind]} WHERE database_name = $name{only_own}", {"name": name}).fetchall()
    except duckdb.CatalogException:
        return []  # a kind that this version of DuckDB does not have
    return sorted(repr(row) for row in rows)


def different_counts(connection: DuckDBPyConnection, name: str, copy: str) -> list[str]:
    """Return what a copy has more or less of than the original."""
    tables = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = $name AND NOT internal",
        {"name": name},
    ).fetchall()
    for schema, table in tables:
        found = {_rows(connection, database, schema, table) for database in (name, copy)}
        if len(found) > 1:
            return ["numbers of rows"]
    return []


def _rows(connection: DuckDBPyConnection, *names: str) -> int:
    return int(_value(connection, f"SELECT count(*) FROM {'.'.join(map(identifier, names))}"))  # noqa: S608


def _value(connection: DuckDBPyConnection, sql: str, name: str | None = None) -> Any:
    row = connection.execute(sql, None if name is None else {"name": name}).fetchone()
    return row[0] if row else None
