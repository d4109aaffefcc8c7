"""The manifest, which lists the parts of a finished run. It is published last, as the commit of the run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import orjson

from airflow_provider_metaconv.files.errors import RUN_AGAIN, ManifestError
from airflow_provider_metaconv.schema import TABLES

MANIFEST_NAME = "_manifest.json"
MANIFEST_VERSION = 1

CHECKPOINT_NAME = "_checkpoint.json"
"""The checkpoint of an extraction, beside the manifest until the window is complete."""

MOST_MANIFEST_BYTES = 16 * 1024 * 1024
"""Enough for a manifest of 60,000 parts."""

WINDOW_PREFIX = "window="
"""The prefix of a window folder's name; the window ID follows."""

FILE_FORMATS = {"ndjson": ".ndjson.gz", "parquet": ".parquet"}
"""The values of ``file_format``, with the suffix of their files."""

_PART_NAME = re.compile(r"-(\d{5,})\.(?:ndjson\.gz|parquet)$")
_PAGE_ID = re.compile(r"[A-Za-z0-9_-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One part: its name in the manifest's folder, its table, and its size and checksum for verification."""

    path: str
    table: str
    rows: int
    bytes: int
    sha256: str

    @property
    def file_format(self) -> str:
        """The file format, derived from the suffix: ``ndjson`` or ``parquet``."""
        return next(name for name, suffix in FILE_FORMATS.items() if self.path.endswith(suffix))


@dataclass(frozen=True, slots=True)
class ManifestPrivacy:
    """The privacy policy of the rows: its name, its treatment per column, and the fingerprint of its key, or "".

    ``replaced`` counts what was scrubbed from text, by kind.
    """

    policy: str = "full"
    key_id: str = ""
    treatments: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, int] = field(default_factory=dict)

    def is_like(self, other: ManifestPrivacy) -> bool:
        """Whether the same identifier is stored alike, so that rows can be compared."""
        return (self.policy, self.key_id) == (other.policy, other.key_id)

    def __str__(self) -> str:
        return f"{self.policy} (key {self.key_id})" if self.key_id else self.policy


@dataclass(frozen=True, slots=True)
class Manifest:
    """The result of one run: the Page, the platform, the window (ISO 8601, UTC) and the parts.

    ``since`` is None for a full history. ``reads_since`` is the earlier time from which messages were read again
    because Meta lists some of them late, or None if there was no such time. ``complete`` says whether every list was
    read to its end or to the start of the window, and ``gaps`` why not. ``left_out_fields`` are the Graph fields that
    Meta refused. ``extraction_id`` identifies the extraction that wrote the files. ``stats`` holds counts. A manifest
    must not contain secrets or message text.
    """

    page_id: str
    platform: str
    since: str | None
    until: str
    files: tuple[ManifestFile, ...]
    stats: dict[str, Any] = field(default_factory=dict)
    version: int = MANIFEST_VERSION
    complete: bool = True
    gaps: tuple[str, ...] = ()
    extraction_id: str = ""
    left_out_fields: tuple[str, ...] = ()
    reads_since: str | None = None
    privacy: ManifestPrivacy = field(default_factory=ManifestPrivacy)

    def to_bytes(self) -> bytes:
        """Return the manifest as JSON, indented for human readers."""
        content = {
            "version": self.version,
            "files": [asdict(file) for file in self.files],
            "window": {"since": self.since, "until": self.until, "reads_since": self.reads_since},
            "page_id": self.page_id,
            "platform": self.platform,
            "complete": self.complete,
            "gaps": self.gaps,
            "extraction_id": self.extraction_id,
            "left_out_fields": self.left_out_fields,
            "privacy": asdict(self.privacy),
            "stats": self.stats,
        }
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_bytes(cls, data: bytes, source: str = "the manifest") -> Manifest:
        """Parse a manifest; ``source`` is its name in errors.

        Manifests of earlier releases lack some fields: without ``complete``, the gaps in ``stats`` decide. Raises
        ``ManifestError`` if it is not a manifest, has another version, lacks a field, or lists a file that is outside
        its folder or has an unknown table or format.
        """
        content = _parse(data, source)
        window = _get(content, "window", dict, source)
        files = [_file(entry, source) for entry in _get(content, "files", list, source)]
        if len({file.path for file in files}) < len(files):
            raise ManifestError(f"{source} lists a file twice: {RUN_AGAIN}")
        stats = _get(content, "stats", dict, source)
        # Release 0.1 wrote a window's gaps into its stats, and had no ``complete`` field.
        gaps = _texts({"gaps": stats.get("gaps")} | content, "gaps", source)
        return cls(
            page_id=_get(content, "page_id", str, source),
            platform=_get(content, "platform", str, source),
            since=None if window.get("since") is None else _get(window, "since", str, source),
            reads_since=None if window.get("reads_since") is None else _get(window, "reads_since", str, source),
            privacy=_privacy(content, source),
            until=_get(window, "until", str, source),
            files=tuple(files),
            stats=stats,
            complete=_complete(content, gaps, source),
            gaps=gaps,
            extraction_id="" if content.get("extraction_id") is None else _get(content, "extraction_id", str, source),
            left_out_fields=_texts(content, "left_out_fields", source),
        )


def window_folder(
    platform: str,
    page_id: str,
    since: datetime | None,
    until: datetime,
    narrowed_by: Mapping[str, str | None] = MappingProxyType({}),
) -> str:
    """Return a window's folder, relative to the destination; ``since`` None means a full history.

    ``narrowed_by`` holds the restrictions of the list, such as a Messenger folder, which become levels of the path.
    Raises ``ValueError`` for times without a time zone, and for a Page ID or restriction with other characters.

    >>> window_folder("MESSENGER", "100", None, datetime(2026, 11, 21, tzinfo=UTC))
    'platform=messenger/page_id=100/window=begin_20261121T000000Z'
    """
    if not _PAGE_ID.fullmatch(page_id):
        raise ValueError("page_id must contain only letters, digits, - and _")
    restrictions = {name: value for name, value in narrowed_by.items() if value}
    for name, value in restrictions.items():
        if not _PAGE_ID.fullmatch(value):
            raise ValueError(f"{name} must contain only letters, digits, - and _")
    levels = [f"platform={platform.lower()}", f"page_id={page_id}", *(f"{n}={v}" for n, v in restrictions.items())]
    return "/".join([*levels, f"{WINDOW_PREFIX}{window_id(since, until)}"])


def window_id(since: datetime | None, until: datetime) -> str:
    """Return a window's ID, which sorts by time and is part of its folder's name.

    Raises ``ValueError`` for times without a time zone.

    >>> window_id(None, datetime(2026, 11, 20, tzinfo=UTC))
    'begin_20261120T000000Z'
    """
    return f"{'begin' if since is None else _compact(since)}_{_compact(until)}"


def window_times(folder_name: str) -> tuple[datetime | None, datetime] | None:
    """Return since and until of a window's folder by its name; None if it is not the name of one.

    >>> window_times("window=begin_20261120T000000Z")
    (None, datetime.datetime(2026, 11, 20, 0, 0, tzinfo=datetime.timezone.utc))
    """
    begin, _, end = folder_name.removeprefix(WINDOW_PREFIX).partition("_")
    if not folder_name.startswith(WINDOW_PREFIX):
        return None
    try:
        return None if begin == "begin" else _moment(begin), _moment(end)
    except ValueError:
        return None


def next_part_number(names: Iterable[str]) -> int:
    """Return one more than the highest part number in these file names; 0 if there are no parts.

    >>> next_part_number(["messages-00004.parquet", "conversations-00000.ndjson.gz", "_manifest.json"])
    5
    """
    return max((int(match[1]) + 1 for name in names if (match := _PART_NAME.search(name))), default=0)


def _compact(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError(f"the window's times must have a time zone, but {moment.isoformat()} has none")
    # Windows that differ only in fractions of a second must not share a folder.
    # strftime is unsuitable, because it does not pad the year 1 to four digits.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat().replace("-", "").replace(":", "") + "Z"


def _moment(compact: str) -> datetime:
    moment = datetime.fromisoformat(compact)
    if _compact(moment) != compact:
        raise ValueError(compact)
    return moment


def _parse(data: bytes, source: str) -> dict[str, Any]:
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise ManifestError(f"{source} is not valid JSON: {RUN_AGAIN}") from None
    if not isinstance(content, dict):
        raise ManifestError(f"{source} is not a JSON object: {RUN_AGAIN}")
    version = content.get("version")
    if version != MANIFEST_VERSION:
        raise ManifestError(
            f"{source} has version {version!r}, but this release reads version {MANIFEST_VERSION}: "
            "use the release of airflow-provider-metaconv that wrote it, or run the extract task again"
        )
    return content


def _get(content: dict[str, Any], key: str, type_: type, source: str) -> Any:
    value = content.get(key)
    if not isinstance(value, type_) or isinstance(value, bool):
        what = "lacks" if value is None else "has an invalid value for"
        raise ManifestError(f"{source} {what} {key!r}: {RUN_AGAIN}")
    return value


def _complete(content: dict[str, Any], gaps: tuple[str, ...], source: str) -> bool:
    complete = content.get("complete", not gaps)
    if not isinstance(complete, bool):
        raise ManifestError(f"{source} has an invalid value for 'complete': {RUN_AGAIN}")
    return complete


def _texts(content: dict[str, Any], key: str, source: str) -> tuple[str, ...]:
    texts = [] if content.get(key) is None else _get(content, key, list, source)
    if not all(isinstance(text, str) for text in texts):
        raise ManifestError(f"{source} has an invalid value for {key!r}: {RUN_AGAIN}")
    return tuple(texts)


def _privacy(content: dict[str, Any], source: str) -> ManifestPrivacy:
    """Return the privacy policy; releases without policies wrote full rows."""
    if "privacy" not in content:
        return ManifestPrivacy()
    privacy = _get(content, "privacy", dict, source)
    treatments, replaced = (_get(privacy, key, dict, source) for key in ("treatments", "replaced"))
    if not all(isinstance(value, str) for value in treatments.values()):
        raise ManifestError(f"{source} has an invalid value for 'treatments': {RUN_AGAIN}")
    if not all(isinstance(value, int) for value in replaced.values()):
        raise ManifestError(f"{source} has an invalid value for 'replaced': {RUN_AGAIN}")
    return ManifestPrivacy(
        _get(privacy, "policy", str, source), _get(privacy, "key_id", str, source), treatments, replaced
    )


def _file(entry: Any, source: str) -> ManifestFile:
    if not isinstance(entry, dict):
        raise ManifestError(f"{source} has an entry in 'files' that is not an object: {RUN_AGAIN}")
    path, table = _get(entry, "path", str, source), _get(entry, "table", str, source)
    sha256 = _get(entry, "sha256", str, source)
    numbers = {key: _get(entry, key, int, source) for key in ("rows", "bytes")}
    if re.search(r"[/\\\0]", path) or path.startswith("."):
        raise ManifestError(f"{source} lists {path!r}, which is not in its own folder: {RUN_AGAIN}")
    if table not in {known.name for known in TABLES}:
        raise ManifestError(f"{source} lists the unknown table {table!r}: {RUN_AGAIN}")
    if not path.endswith(tuple(FILE_FORMATS.values())):
        endings = " or ".join(FILE_FORMATS.values())
        raise ManifestError(f"{source} lists {path!r}, which must end in {endings}: {RUN_AGAIN}")
    if min(numbers.values()) < 0 or not _SHA256.fullmatch(sha256):
        raise ManifestError(f"{source} has an invalid size, row count or sha256 for {path!r}: {RUN_AGAIN}")
    return ManifestFile(path, table, numbers["rows"], numbers["bytes"], sha256)
