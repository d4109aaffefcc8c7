"""Validation of bucket folders and ``gs://`` URIs, without importing Google's libraries."""

from __future__ import annotations

import re

from airflow_provider_metaconv.files.errors import StorageRefusedError

_URI = re.compile(r"gs://([^/]+)(?:/(.*))?", re.DOTALL)
# Wildcards in Google's listings, characters that object names must not contain, and path traversal.
_UNUSABLE = re.compile("[*?\\[\\]{}\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff]|(?:^|/)\\.{1,2}(?:/|$)")


def parse_gs_uri(uri: str) -> tuple[str, str]:
    """Return the bucket and path of a ``gs://`` URI; raises ``StorageRefusedError`` for any other URI.

    >>> parse_gs_uri("gs://bucket/a/b")
    ('bucket', 'a/b')
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise StorageRefusedError("the URI must have the form gs://bucket/folder")
    return match[1], match[2] or ""


def normalised(folder: str) -> str:
    """Return the folder without redundant slashes; raises ``StorageRefusedError`` for one that cannot be listed."""
    if _UNUSABLE.search(folder):
        raise StorageRefusedError(
            "a folder in a bucket must not contain . or .. levels, control characters, or any of * ? [ ] { } \\"
        )
    return "/".join(level for level in folder.split("/") if level)


def is_folder(folder: str) -> bool:
    """Whether the folder is in the form that ``normalised`` returns."""
    return not _UNUSABLE.search(folder) and normalised(folder) == folder
