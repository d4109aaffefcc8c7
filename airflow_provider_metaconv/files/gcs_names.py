"""Which addresses lead to a folder of a bucket; imports nothing of Google's."""

from __future__ import annotations

import re

from airflow_provider_metaconv.files.errors import StorageRefusedError

_URI = re.compile(r"gs://([^/]+)(?:/(.*))?", re.DOTALL)
# Wildcards of Google's lists, what an object's name must not hold, and what would look like a way out of the folder.
_UNUSABLE = re.compile("[*?\\[\\]{}\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff]|(?:^|/)\\.{1,2}(?:/|$)")


def parse_gs_uri(uri: str) -> tuple[str, str]:
    """The bucket and the path of a ``gs://`` address; raises ``StorageRefusedError`` for any other.

    >>> parse_gs_uri("gs://bucket/a/b")
    ('bucket', 'a/b')
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise StorageRefusedError("this is no address in a bucket: write it as gs://bucket/folder")
    return match[1], match[2] or ""


def normalised(folder: str) -> str:
    """The folder without slashes too many; raises ``StorageRefusedError`` for one that no list could find."""
    if _UNUSABLE.search(folder):
        raise StorageRefusedError(
            "this cannot be a folder in a bucket: leave out . and .., control characters and * ? [ ] { } \\"
        )
    return "/".join(level for level in folder.split("/") if level)


def is_folder(folder: str) -> bool:
    """Whether it is a folder as ``normalised`` gives it."""
    return not _UNUSABLE.search(folder) and normalised(folder) == folder
