"""The files of a run: parts in NDJSON or Parquet, the manifest that commits them, and the storage they are in."""

from airflow_provider_metaconv.files.errors import (
    ChangedMeanwhileError,
    FilesError,
    ManifestError,
    NameTakenError,
    NotPublishedError,
    StorageError,
)
from airflow_provider_metaconv.files.manifest import (
    FILE_FORMATS,
    MANIFEST_NAME,
    Manifest,
    ManifestFile,
    next_part_number,
    window_folder,
    window_id,
)
from airflow_provider_metaconv.files.parts import PartsWriter
from airflow_provider_metaconv.files.storage import Storage, open_storage
from airflow_provider_metaconv.files.storage.local import LocalStorage

__all__ = [
    "FILE_FORMATS",
    "MANIFEST_NAME",
    "ChangedMeanwhileError",
    "FilesError",
    "LocalStorage",
    "Manifest",
    "ManifestError",
    "ManifestFile",
    "NameTakenError",
    "NotPublishedError",
    "PartsWriter",
    "Storage",
    "StorageError",
    "next_part_number",
    "open_storage",
    "window_folder",
    "window_id",
]
