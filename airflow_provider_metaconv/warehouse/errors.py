"""What can go wrong with a warehouse; every message is one line that says what to change, and none quotes a row."""

from __future__ import annotations


class WarehouseError(Exception):
    """The warehouse could not do what was asked; it holds exactly what it held before."""


class WarehouseOpenError(WarehouseError):
    """The warehouse cannot be opened: the path is wrong, not writable, or not a database."""


class WarehouseRefusedError(WarehouseOpenError):
    """Only a person can change what stands in the way: a permission, a name, a place."""


class WarehouseBusyError(WarehouseError):
    """Someone else holds the warehouse or changed it at the same time; trying again later is right."""


class SchemaConflictError(WarehouseError):
    """A table that exists already has a column that cannot hold what ``records`` declares."""


class SourceFileError(WarehouseError):
    """A file to be loaded is missing, broken, or not what the manifest says."""


class RowCountError(SourceFileError):
    """The files hold more or fewer rows than the manifests say."""
