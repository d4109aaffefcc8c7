"""One extraction: walk the window, write the parts, and publish the manifest last; nothing counts before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_metaconv.extract.ledger import Scope
from airflow_provider_metaconv.extract.sizes import Sizes, default_sizes
from airflow_provider_metaconv.extract.tally import CallFigures, Tally
from airflow_provider_metaconv.extract.walk import WORKERS, Batch, WindowWalk
from airflow_provider_metaconv.extract.window import Window, iso
from airflow_provider_metaconv.files.manifest import MANIFEST_NAME, Manifest, ManifestFile, next_part_number
from airflow_provider_metaconv.files.parts import PartsWriter
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.records import CONVERSATIONS, MESSAGES


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a run wrote: where its manifest lies, and how much is in it."""

    manifest: str
    messages: int
    conversations: int
    incomplete: int
    calls: int

    def as_dict(self) -> dict[str, Any]:
        """The run in plain JSON types, as it goes into XCom."""
        return asdict(self)


def extract_conversations(
    edges: Sequence[ConversationsEdge],
    scope: Scope,
    storage: Storage,
    call_figures: CallFigures,
    *,
    file_format: str = "ndjson",
    sizes: Sizes | None = None,
    workers: int = WORKERS,
) -> Extraction:
    """Writes the window's messages and ledger into the storage's folder and returns what was written.

    ``edges`` are the lists to read one after the other, such as a Page's folders; a conversation counts once.
    A rerun replaces what an earlier run left there: its parts get numbers of their own, the new manifest takes the
    old one's place in one step, and only then the old parts go. A run that fails leaves the old manifest standing.
    Raises the ``GraphError`` that ended the walk, and ``StorageError`` when the destination fails.
    """
    started = datetime.now(UTC).replace(microsecond=0)
    tally = Tally(scope, call_figures)
    batches = _batches(edges, scope, sizes or default_sizes(scope.platform), workers)
    files = _write_parts(batches, storage, file_format, tally)
    stats = {**tally.figures(), "started": iso(started), "finished": iso(datetime.now(UTC).replace(microsecond=0))}
    manifest = Manifest(
        page_id=scope.page_id,
        platform=scope.platform,
        since=scope.since or None,
        until=scope.until,
        files=files,
        stats=stats | _capped(scope.window),
    )
    _publish(storage, manifest)
    tally.tell("Done")
    return Extraction(
        manifest=storage.uri(MANIFEST_NAME),
        messages=tally.messages,
        conversations=tally.conversations,
        incomplete=tally.incomplete,
        calls=stats["calls"],
    )


def _batches(edges: Sequence[ConversationsEdge], scope: Scope, sizes: Sizes, workers: int) -> Iterator[Batch]:
    listed: set[str] = set()
    for edge in edges:
        walk = WindowWalk(edge, scope, sizes, listed, workers=workers)
        yield from walk.batches()
        # What Meta asked to be smaller in one folder it would ask for in the next one too.
        sizes = walk.sizes


def _write_parts(
    batches: Iterator[Batch], storage: Storage, file_format: str, tally: Tally
) -> tuple[ManifestFile, ...]:
    number = next_part_number(storage.names())
    with ExitStack() as stack:
        messages, conversations = (
            stack.enter_context(PartsWriter(storage, table, file_format, first_number=number))
            for table in (MESSAGES, CONVERSATIONS)
        )
        for batch in batches:
            messages.write(batch.messages)
            conversations.write(batch.conversations)
            tally.add(batch)
        return (*messages.close(), *conversations.close())


def _capped(window: Window) -> dict[str, str]:
    return {} if window.capped_from is None else {"until_capped_from": iso(window.capped_from)}


def _publish(storage: Storage, manifest: Manifest) -> None:
    storage.publish_bytes(manifest.to_bytes(), MANIFEST_NAME)
    kept = {MANIFEST_NAME, *(file.path for file in manifest.files)}
    for name in storage.names():
        if name not in kept:
            storage.delete(name)
