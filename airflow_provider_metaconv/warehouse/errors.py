"""Warehouse errors. Every message is one line that says what to change, and none quotes a row."""

from __future__ import annotations

from collections.abc import Iterable


class WarehouseError(Exception):
    """The operation failed. The warehouse is unchanged."""


class WarehouseOpenError(WarehouseError):
    """The warehouse cannot be opened: the path is wrong, not writable, or not a database."""


class WarehouseRefusedError(WarehouseOpenError):
    """The warehouse cannot be opened until a person fixes a permission, a name or a path."""


class WarehouseBusyError(WarehouseError):
    """Another process or load uses the warehouse. Try again later."""


class SchemaConflictError(WarehouseError):
    """An existing table has a column that cannot hold what the schema declares."""


class PolicyConflictError(WarehouseRefusedError):
    """The tables and the files to load have different privacy policies or keys."""

    def __init__(self, found: Iterable[str]) -> None:
        super().__init__(
            f"the tables and the files to load differ in their privacy policy or key ({', '.join(sorted(found))}): "
            "load into other tables, or set allow_policy_change=True to mix them"
        )


class SourceFileError(WarehouseError):
    """A file to load is missing, damaged, or different from what its manifest says."""


class RowCountError(SourceFileError):
    """The files hold more or fewer rows than their manifests say."""
