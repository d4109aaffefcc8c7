"""One extraction: walk the window, write the parts, and publish the manifest last; nothing counts before it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_metaconv import __version__
from airflow_provider_metaconv.extract.checkpoint import Checkpoint, Saved
from airflow_provider_metaconv.extract.cost import CallFigures, Cost
from airflow_provider_metaconv.extract.ledger import Scope
from airflow_provider_metaconv.extract.progress import Observer, Place, nobody
from airflow_provider_metaconv.extract.publish import publish_manifest
from airflow_provider_metaconv.extract.reader import Batch
from airflow_provider_metaconv.extract.sizes import AdaptiveSizes, Sizes, default_sizes
from airflow_provider_metaconv.extract.tally import Tally
from airflow_provider_metaconv.extract.walk import WORKERS, WindowWalk
from airflow_provider_metaconv.extract.window import iso
from airflow_provider_metaconv.files.errors import FilesError
from airflow_provider_metaconv.files.manifest import MANIFEST_NAME, ManifestFile, next_part_number
from airflow_provider_metaconv.files.parts import ROWS_PER_PART, PartsWriter
from airflow_provider_metaconv.files.reading import read_part
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import GraphError, RateLimitError
from airflow_provider_metaconv.records import CONVERSATIONS, MESSAGES

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Settings:
    """How an extraction works: the form of its files, the largest sizes of its calls, how many are in flight."""

    file_format: str = "ndjson"
    sizes: Sizes | None = None
    workers: int = WORKERS
    rows_per_part: int = ROWS_PER_PART


def extract_conversations(
    edges: Sequence[ConversationsEdge],
    scope: Scope,
    storage: Storage,
    call_figures: CallFigures,
    settings: Settings = Settings(),
    known_ids: Callable[[], Iterable[str]] = tuple,
    observe: Observer = nobody,
) -> Extraction:
    """Writes the window's messages and ledger into the storage's folder and returns what was written.

    ``edges`` are the lists to read one after the other, such as a Page's folders; a conversation counts once.
    ``known_ids`` are conversations of earlier runs, asked for when a list cannot be read to its end. ``observe`` is
    told what this try does while it works, and when it ends.

    A rerun replaces what an earlier run left there: its parts get numbers of their own, the new manifest takes the
    old one's place in one step, and only then the old parts go. A run that fails leaves the old manifest standing,
    and a checkpoint from which the next try goes on.

    Raises the ``GraphError`` that ended the walk, and ``StorageError`` when the destination fails or another task is
    writing there.
    """

    def new_run() -> _Run:
        return _Run(edges, scope, storage, call_figures, settings, known_ids, observe)

    with storage.lock():
        storage.remove_temporaries()
        run = new_run()
        # A run that is half resumed must never be: it is thrown away whole.
        return run.run() if run.is_ready() else new_run().run()


class _Run:
    def __init__(
        self,
        edges: Sequence[ConversationsEdge],
        scope: Scope,
        storage: Storage,
        call_figures: CallFigures,
        settings: Settings,
        known_ids: Callable[[], Iterable[str]],
        observe: Observer,
    ) -> None:
        self._edges = edges
        self._scope = scope
        self._storage = storage
        self._settings = settings
        self._known_ids = known_ids
        self._cost = Cost(call_figures)
        self._tally = Tally(scope, self._cost, observe)
        self._sizes = _sizes(settings, scope)
        self._checkpoint = Checkpoint(storage, _identity(edges, scope, settings))
        self._listed: set[str] = set()
        self._earlier_parts: tuple[ManifestFile, ...] = ()
        self._started = _now()
        self._edge_number = 0
        self._walk: WindowWalk | None = None
        self._saved: Saved | None = None
        self._writers: tuple[PartsWriter, ...] = ()

    def is_ready(self) -> bool:
        """Whether the run can begin: there is no checkpoint, or one that fits and that it goes on from."""
        self._saved = self._checkpoint.load()
        if self._saved is None:
            return True
        try:
            self._resume(self._saved)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            logger.warning("The checkpoint does not fit (%s): starting over", type(error).__name__)
            return False
        return True

    def run(self) -> Extraction:
        scope = self._scope
        logger.info(
            "Reading %s/%s from %s until %s into %s",
            *(scope.platform, scope.page_id, scope.since or "the first message", scope.until, self._manifest),
        )
        try:
            return self._run()
        finally:
            self._tally.report()

    def _run(self) -> Extraction:
        self._claim()
        number = next_part_number(self._storage.names())
        with ExitStack() as stack:
            self._writers = tuple(
                stack.enter_context(
                    PartsWriter(self._storage, table, self._settings.file_format, self._settings.rows_per_part, number)
                )
                for table in (MESSAGES, CONVERSATIONS)
            )
            if self._saved is not None:
                self._write_again(self._saved)
            try:
                self._walk_all()
            except GraphError as error:
                # The walk ended in order. After anything else its state may be of half a batch: the last one counts.
                self._leave_checkpoint(error)
                raise
            for writer in self._writers:
                writer.close()
        return self._publish()

    def _claim(self) -> None:
        """Writes the checkpoint anew, as it is: from now on no other try that runs at once can replace it."""
        state = self._state() if self._saved is None else self._saved.state
        self._checkpoint.commit(state, self._parts, 0)

    @property
    def _manifest(self) -> str:
        return self._storage.uri(MANIFEST_NAME)

    def _new_walk(self) -> WindowWalk:
        return WindowWalk(
            self._edges[self._edge_number],
            self._scope,
            self._sizes,
            self._listed,
            workers=self._settings.workers,
            known_ids=self._known_ids,
        )

    def _walk_all(self) -> None:
        while self._edge_number < len(self._edges):
            self._walk = self._walk or self._new_walk()
            for batch in self._walk.batches():
                self._take(batch)
            if self._walk.gap is not None:
                self._tally.gaps.append(self._walk.gap)
            self._edge_number, self._walk = self._edge_number + 1, None

    def _take(self, batch: Batch) -> None:
        self._checkpoint.add(batch)
        self._tally.add(batch, self._place)
        published = self._parts
        self._write(batch)
        if self._parts != published:
            # A part is full: with the rows of the others published as well, no row needs to be kept a second time.
            for writer in self._writers:
                writer.roll()
            self._checkpoint.commit_in_parts(self._state(), self._parts, self._cost.calls)
        elif self._checkpoint.is_due(calls := self._cost.calls):
            self._checkpoint.commit(self._state(), self._parts, calls)

    def _write(self, batch: Batch) -> None:
        messages, conversations = self._writers
        messages.write(batch.messages)
        conversations.write(batch.conversations)

    @property
    def _place(self) -> Place:
        stretch = ("", "") if self._walk is None else self._walk.stretch
        return Place(self._edge_number + 1, len(self._edges), *stretch)

    @property
    def _parts(self) -> tuple[ManifestFile, ...]:
        return (*self._earlier_parts, *(file for writer in self._writers for file in writer.published))

    def _state(self) -> dict[str, Any]:
        return {
            "edge": self._edge_number,
            "sizes": self._sizes.state(),
            "walk": None if self._walk is None else self._walk.state(),
            "tally": self._tally.state(),
            "cost": self._cost.figures(),
            "started": self._started,
        }

    def _resume(self, saved: Saved) -> None:
        state = saved.state
        self._edge_number, self._started = state["edge"], state["started"]
        self._sizes.resume(state["sizes"])
        self._tally.resume(state["tally"])
        self._cost.resume(state["cost"])
        self._earlier_parts = saved.parts
        for part in saved.parts:
            if part.table == CONVERSATIONS.name:
                self._listed.update(row["conversation_id"] for row in read_part(self._storage, part))
        if state["walk"] is not None:
            self._walk = self._new_walk()
            self._walk.resume(state["walk"])

    def _write_again(self, saved: Saved) -> None:
        """Brings the rows that are in no part yet back into the parts of this try."""
        for batch in saved.batches:
            self._listed.update(row["conversation_id"] for row in batch.conversations)
            self._write(batch)
        if self._parts != saved.parts:
            for writer in self._writers:
                writer.roll()
            self._checkpoint.commit_in_parts(saved.state, self._parts, 0)
        self._tally.tell("Going on where an earlier try ended")

    def _leave_checkpoint(self, error: GraphError) -> None:
        if isinstance(error, RateLimitError):
            self._cost.add_wait(error)
        # The error that ended the run is the one to show; without this checkpoint the one before it counts.
        with suppress(FilesError):
            self._checkpoint.commit(self._state(), self._parts, self._cost.calls)

    def _publish(self) -> Extraction:
        figures = self._tally.figures() | {"started": self._started, "finished": _now()}
        publish_manifest(self._storage, self._scope, self._parts, figures)
        self._tally.tell("Done")
        return Extraction(
            manifest=self._manifest,
            messages=self._tally.messages,
            conversations=self._tally.conversations,
            incomplete=self._tally.incomplete,
            calls=figures["calls"],
        )


def _sizes(settings: Settings, scope: Scope) -> AdaptiveSizes:
    if settings.sizes is not None:
        return AdaptiveSizes(settings.sizes)
    return default_sizes(scope.platform, is_history=scope.window.since is None)


def _identity(edges: Sequence[ConversationsEdge], scope: Scope, settings: Settings) -> dict[str, Any]:
    """What must be the same for a later try to go on from a checkpoint."""
    return {
        "release": __version__,
        "page_id": scope.page_id,
        "platform": scope.platform,
        "since": scope.since,
        "until": scope.until,
        "lists": [[edge.folder, edge.user_id] for edge in edges],
        "file_format": settings.file_format,
    }


def _now() -> str:
    return iso(datetime.now(UTC).replace(microsecond=0))
