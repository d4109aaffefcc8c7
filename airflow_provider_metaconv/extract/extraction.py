"""One extraction: sends the requests that the state needs, applies the responses, writes rows, and commits the window.

This is the only module of ``extract`` that does I/O. ``attempt``, ``list_walk`` and ``conversation`` decide on the
``ExtractionState`` what to request and what a response means. Nothing counts before the manifest is published, and the
manifest requires evidence that only complete reading provides.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

from airflow_provider_metaconv import __version__
from airflow_provider_metaconv.extract import list_walk
from airflow_provider_metaconv.extract.attempt import Attempt, Partiality
from airflow_provider_metaconv.extract.checkpoint import Checkpoint, Identity, Saved
from airflow_provider_metaconv.extract.extra_fields import NO_EXTRA_FIELDS
from airflow_provider_metaconv.extract.known import KnownConversations
from airflow_provider_metaconv.extract.ledger import amended
from airflow_provider_metaconv.extract.page_sizes import PageSizes, Sizes
from airflow_provider_metaconv.extract.requests import Dispatcher, Request, ThreadDispatcher, fetch
from airflow_provider_metaconv.extract.resumption import new_state, resume
from airflow_provider_metaconv.extract.rows import Batch, ExtractionContext
from airflow_provider_metaconv.extract.stats import ExtractionStats, ListPosition, Observer, noop
from airflow_provider_metaconv.files.commit import (
    Corrections,
    check_policy,
    clean_up,
    commit_window,
    comparable_manifest,
    earlier_manifest,
    incomplete_before,
    whole_files,
)
from airflow_provider_metaconv.files.errors import FilesError
from airflow_provider_metaconv.files.ledger_rows import WindowHeader
from airflow_provider_metaconv.files.manifest import (
    MANIFEST_NAME,
    Manifest,
    ManifestFile,
    ManifestPrivacy,
    next_part_number,
    window_id,
)
from airflow_provider_metaconv.files.parts import ROWS_PER_PART, PartsWriter
from airflow_provider_metaconv.files.reading import UNREADABLE_PART, read_part
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.freed_memory import release_freed_memory
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import GraphError, RateLimitError
from airflow_provider_metaconv.privacy.policy import Treatment
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from airflow_provider_metaconv.privacy.suppression import SuppressionList
from airflow_provider_metaconv.privacy.traces import without_people
from airflow_provider_metaconv.schema import CONVERSATIONS, MESSAGES
from airflow_provider_metaconv.stop import Stop
from airflow_provider_metaconv.window import iso

logger = logging.getLogger(__name__)

WORKERS = 4
"""Calls in flight: enough to send 2 calls per second if each takes 2 seconds."""


class SuppressionChangedError(Exception):
    """Somebody was added to the suppression list while an attempt ran. The next attempt leaves them out."""


class PartialWindowError(Exception):
    """A list of the window could not be fully read. The rest was published as partial."""


class Client(Protocol):
    """The state of the Graph client that an extraction uses: the costs of its calls, and its consecutive limits."""

    consecutive_limits: int

    @property
    def statistics(self) -> Any:
        """The costs of the calls so far; ``as_dict()`` returns them in JSON types."""


@dataclass(frozen=True, slots=True)
class ExtractionResult:
    """The result of an extraction: its manifest, counts, and whether every list was read.

    ``refusal`` is why a list could not be read in this attempt, and ``stats`` are those of the manifest. Both are not
    part of ``as_dict``.
    """

    manifest: str
    messages: int
    conversations: int
    incomplete: int
    calls: int
    complete: bool
    gaps: tuple[str, ...] = ()
    refusal: GraphError | None = None
    stats: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the result in plain JSON types, for XCom."""
        values = asdict(self) | {"gaps": list(self.gaps)}
        del values["refusal"], values["stats"]
        return values


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of an extraction: the file format, the maximum page sizes and the number of calls in flight.

    With ``accept_partial``, a refused list is retried for at least ten minutes, and then replaced by the conversations
    known from earlier runs. ``stop`` is the client's, and ends its calls in flight if the extraction is interrupted.
    ``privacy`` decides what of a row is stored; files of another policy are replaced only with ``allow_policy_change``.
    ``suppressed`` are people to leave out; ``reload_suppressed`` reads that list again before the commit.
    ``clock``, ``sleep`` and ``dispatcher`` are for tests.
    """

    file_format: str = "ndjson"
    sizes: Sizes | None = None
    workers: int = WORKERS
    rows_per_part: int = ROWS_PER_PART
    accept_partial: bool = False
    privacy: RowPrivacy = field(default_factory=RowPrivacy)
    allow_policy_change: bool = False
    suppressed: SuppressionList = field(default_factory=SuppressionList)
    reload_suppressed: Callable[[], SuppressionList] | None = None
    stop: Stop = field(default_factory=Stop)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    dispatcher: Callable[[int], Dispatcher] = field(default=ThreadDispatcher)


def extract_conversations(
    edges: Sequence[ConversationsEdge],
    context: ExtractionContext,
    storage: Storage,
    client: Client,
    settings: Settings | None = None,
    known_ids: Callable[[], Iterable[str]] = tuple,
    observe: Observer = noop,
) -> ExtractionResult:
    """Write the window's messages and ledger to the storage's folder, and return the result.

    ``edges`` are the lists to read in turn, such as a Page's folders; a conversation in several lists counts once.
    ``known_ids`` returns conversations of earlier runs, for unreadable lists if ``accept_partial`` is set. ``observe``
    receives the stats of this attempt while it runs, and at its end.

    A rerun never replaces a better result. Its parts get new numbers, the new manifest replaces the old one atomically,
    and only then are the old parts deleted. A failed attempt leaves the old manifest unchanged, and a checkpoint from
    which the next attempt continues.

    Raises the ``GraphError`` that ended the attempt, ``BetterResultError`` if a partial result would replace a complete
    one, and ``StorageError`` if the destination fails or another task is writing there.
    """
    with storage.lock():
        storage.remove_temporaries()
        extraction = _Extraction(edges, context, storage, client, settings or Settings(), known_ids, observe)
        return extraction.finished_before() or extraction.run()


def known_conversations(storage: Storage) -> Iterable[str]:
    """Return the conversation IDs in the ledgers of the Page's other windows; folders without a manifest are ignored.

    A damaged or missing ledger is skipped with a warning. Raises ``StorageError`` if the storage fails.
    """
    known: dict[str, None] = {}
    for folder in storage.siblings(MANIFEST_NAME):
        manifest = earlier_manifest(folder)
        if manifest is not None and "conversation_id" in manifest.privacy.treatments:
            # Meta does not know pseudonyms.
            continue
        for file in whole_files(folder, manifest, CONVERSATIONS):
            try:
                ids = [row["conversation_id"] for row in read_part(folder, file)]
            except UNREADABLE_PART as error:
                logger.warning("%s cannot be read (%s): skipped", folder.uri(file.path), type(error).__name__)
            else:
                known.update((each, None) for each in ids if isinstance(each, str))
    return known


class _Extraction:
    def __init__(
        self,
        edges: Sequence[ConversationsEdge],
        context: ExtractionContext,
        storage: Storage,
        client: Client,
        settings: Settings,
        known_ids: Callable[[], Iterable[str]],
        observe: Observer,
    ) -> None:
        self._edges = edges
        self._context = _asked(context, settings.privacy)
        self._storage = storage
        self._client = client
        self._settings = settings
        self._known_ids = known_ids
        self._folders = [edge.folder for edge in edges]
        self._privacy = settings.privacy
        self._checkpoint = self._new_checkpoint()
        name = f"{context.platform}/{context.page_id}"
        self._stats = ExtractionStats(
            name, client.statistics.as_dict, now(), observe, settings.clock, self._privacy.replaced
        )
        self._earlier_parts: tuple[ManifestFile, ...] = ()
        self._writers: tuple[PartsWriter, ...] = ()
        self._in_flight: list[Request] = []
        self._saved: Saved | None = None
        self._earlier: Manifest | None = None

    def _new_checkpoint(self) -> Checkpoint:
        identity = _identity(self._edges, self._context, self._settings)
        return Checkpoint(self._storage, identity, self._settings.clock, self._privacy.pseudonyms)

    def finished_before(self) -> ExtractionResult | None:
        """Return the result if an earlier attempt of this extraction was killed after it had published it.

        Raises ``PolicyChangedError`` if the window has files of another privacy policy that may not be replaced.
        """
        manifest = self._earlier = earlier_manifest(self._storage)
        if not self._settings.allow_policy_change:
            check_policy(self._storage, manifest, _manifest_privacy(self._privacy))
        if manifest is None or not manifest.complete or not manifest.extraction_id:
            return None
        if manifest.extraction_id != self._checkpoint.earlier_extraction():
            return None
        logger.info("An earlier attempt has already finished %s: removing its checkpoint", self._manifest)
        clean_up(self._storage, manifest)
        return self._result(manifest, None)

    def run(self) -> ExtractionResult:
        """Read the window and commit it."""
        context = self._context
        logger.info(
            "Reading %s/%s from %s until %s into %s",
            *(context.platform, context.page_id, context.since or "the first message", context.until, self._manifest),
        )
        self._saved = self._checkpoint.load()
        known = self._resumed()
        self._attempt = Attempt(
            context,
            self._state,
            self._folders,
            known,
            Partiality(self._settings.accept_partial, self._known_ids, self._settings.clock),
            self._incomplete_before(),
            self._settings.suppressed,
            self._privacy.policy.dropped_fields,
        )
        try:
            return self._run()
        finally:
            self._stats.report()

    def _incomplete_before(self) -> Callable[[str], bool]:
        comparable = comparable_manifest(self._earlier, _manifest_privacy(self._privacy))
        stored_ids = incomplete_before(self._storage, comparable)
        return lambda conversation_id: self._privacy.conversation(conversation_id) in stored_ids

    def _resumed(self) -> KnownConversations:
        """Continue from an earlier attempt's checkpoint, or start over if it is unusable."""
        if self._saved is not None:
            try:
                return self._resume(self._saved)
            except (*UNREADABLE_PART, FilesError) as error:
                logger.warning("The checkpoint cannot be used (%s): starting over", type(error).__name__)
                self._saved = None
                self._checkpoint = self._new_checkpoint()
        sizes = _page_sizes(self._settings, self._context)
        self._state = new_state(self._context, len(self._edges), sizes)
        return KnownConversations(self._privacy.conversation)

    def _resume(self, saved: Saved) -> KnownConversations:
        rows = (
            row for part in saved.parts if part.table == CONVERSATIONS.name for row in read_part(self._storage, part)
        )
        self._state = saved.state
        known = KnownConversations(self._privacy.conversation)
        resume(self._state, rows, known)
        self._client.consecutive_limits = self._state.consecutive_limits
        self._stats.resume(saved.attempts)
        self._earlier_parts = saved.parts
        return known

    def _run(self) -> ExtractionResult:
        # Written again immediately, so that no concurrent attempt can replace it from now on.
        self._checkpoint.commit(self._state, self._stats.total(), self._parts)
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
                self._walk()
            except GraphError as error:
                # The walk ended in a consistent state. After any other error the state may be inconsistent, so the
                # previous checkpoint counts.
                self._leave_checkpoint(error)
                raise
            for writer in self._writers:
                writer.close()
        return self._commit()

    @property
    def _manifest(self) -> str:
        return self._storage.uri(MANIFEST_NAME)

    @property
    def _parts(self) -> tuple[ManifestFile, ...]:
        return (*self._earlier_parts, *(file for writer in self._writers for file in writer.published))

    @property
    def _place(self) -> ListPosition:
        number = self._attempt.current_list
        if number is None:
            return ListPosition(len(self._edges), len(self._edges))
        state = self._state.lists[number]
        return ListPosition(number + 1, len(self._edges), state.lowest, list_walk.pass_end(state))

    def _walk(self) -> None:
        """Send planned requests and apply the outcomes until there is nothing left to request."""
        dispatcher = self._settings.dispatcher(self._settings.workers)
        try:
            while True:
                self._send_planned(dispatcher)
                if self._in_flight:
                    self._take_outcome(dispatcher)
                elif (seconds := self._attempt.pause()) > 0:
                    self._settings.sleep(seconds)
                else:
                    break
            self._take(self._attempt.conclude())
        except GraphError:
            self._drain(dispatcher)
            raise
        finally:
            if self._in_flight:
                # Interrupted: the calls in flight are no longer needed, and none may follow.
                self._settings.stop.request()
            dispatcher.close()

    def _send_planned(self, dispatcher: Dispatcher) -> None:
        for request in self._attempt.plan(self._in_flight):
            if not dispatcher.has_room:
                break
            edge = self._edges[self._attempt.asked_list]
            self._in_flight.append(request)
            dispatcher.send(request, fetch(request, edge, self._attempt.fields))

    def _take_outcome(self, dispatcher: Dispatcher) -> None:
        request, outcome = dispatcher.next_outcome()
        self._in_flight.remove(request)
        self._take(self._attempt.apply(request, outcome, partial(self._send_planned, dispatcher)))

    def _drain(self, dispatcher: Dispatcher) -> None:
        """Apply the outcomes of the other calls in flight, so that they need not be repeated."""
        while self._in_flight:
            request, outcome = dispatcher.next_outcome()
            self._in_flight.remove(request)
            if not isinstance(outcome, GraphError):
                with suppress(GraphError):
                    self._take(self._attempt.apply(request, outcome))

    def _take(self, batch: Batch) -> None:
        # From here on, nothing is stored or logged but what the policy leaves of the rows.
        self._remove_traces(batch)
        self._privacy.messages(batch.messages)
        self._privacy.conversations(batch.conversations)
        self._stats.add(batch, self._place)
        published = self._parts
        messages, conversations = self._writers
        kept = self._checkpoint.kept_bytes
        messages.write(batch.messages, self._checkpoint.keep_messages)
        self._state.page_sizes.weighed(len(batch.messages), self._checkpoint.kept_bytes - kept)
        conversations.write(batch.conversations, self._checkpoint.keep_conversations)
        if self._state.page_sizes.messages_are_long:
            release_freed_memory()
        if self._parts != published:
            # A part is full. Publish the other tables' rows as well, so that the checkpoint need not keep any.
            self._publish_parts()
        elif self._checkpoint.is_due(self._stats.calls):
            self._checkpoint.commit(self._state, self._stats.total(), self._parts)

    def _remove_traces(self, batch: Batch) -> None:
        """Remove people on the suppression list from the rows of others."""
        suppressed = self._settings.suppressed
        if not suppressed:
            return
        for row in batch.messages:
            row["recipients"] = without_people(row["recipients"], suppressed)
            row["reactions"] = without_people(row["reactions"], suppressed)
            row["extra"] = without_people(row["extra"], suppressed)
        for row in batch.conversations:
            row["participants"] = without_people(row["participants"], suppressed)
            row["extra"] = without_people(row["extra"], suppressed)

    def _publish_parts(self) -> None:
        for writer in self._writers:
            writer.roll()
        self._checkpoint.commit_in_parts(self._state, self._stats.total(), self._parts)

    def _write_again(self, saved: Saved) -> None:
        """Write the saved rows that are in no part yet into the parts of this attempt."""
        messages, conversations = self._writers
        for batch in saved.batches:
            self._attempt.note_written(batch)
            messages.write(batch.messages)
            conversations.write(batch.conversations)
        if self._parts != saved.parts:
            self._publish_parts()
        self._stats.log("Continuing where an earlier attempt ended")

    def _leave_checkpoint(self, error: GraphError) -> None:
        if isinstance(error, RateLimitError):
            self._stats.add_wait(error)
        self._state.consecutive_limits = self._client.consecutive_limits
        # Report the error that ended the attempt. If this checkpoint fails, the previous one counts.
        with suppress(FilesError):
            self._checkpoint.commit(self._state, self._stats.total(), self._parts)

    def _commit(self) -> ExtractionResult:
        evidence = self._attempt.evidence()
        reload_suppressed = self._settings.reload_suppressed
        if reload_suppressed is not None and reload_suppressed().digest != self._settings.suppressed.digest:
            raise SuppressionChangedError("the suppression list has changed since this attempt began: run it again")
        if not evidence.is_complete:
            # Keep what was read for the next attempt, which requests the rest again.
            self._checkpoint.commit_in_parts(self._state, self._stats.total(), self._parts)
        stored = self._privacy.conversation
        manifest = commit_window(
            self._storage,
            _header(self._edges, self._context, self._settings, self._stats.total().replaced),
            self._parts,
            evidence,
            Corrections(
                frozenset(map(stored, self._state.reread)),
                {stored(name): partial(amended, amendment=change) for name, change in self._state.amendments.items()},
                {stored(name): count for name, count in self._state.unplaced.items()},
            ),
            self._cost(),
            extraction_id=self._checkpoint.extraction_id,
            left_out_fields=self._state.left_out_fields,
        )
        self._stats.log("Done" if manifest.complete else "Partial")
        return self._result(manifest, self._attempt.refusal)

    def _cost(self) -> dict[str, Any]:
        total = self._stats.total()
        cost = {
            "attempts": total.attempts,
            "calls": total.calls,
            "retries": total.retries,
            "rate_limit_waits": total.rate_limit_waits,
            "rate_limit_wait_seconds": total.rate_limit_wait_seconds,
            "usage_percent": total.usage_percent,
            "errors": total.errors,
            "started": total.started,
            # If the clock was set back, time must not run backwards.
            "finished": max(total.started, now()),
        }
        capped_from = self._context.window.capped_from
        return cost if capped_from is None else cost | {"until_capped_from": iso(capped_from)}

    def _result(self, manifest: Manifest, refusal: GraphError | None) -> ExtractionResult:
        stats = manifest.stats
        return ExtractionResult(
            manifest=self._manifest,
            messages=stats["messages"],
            conversations=stats["conversations"],
            incomplete=stats["incomplete"],
            calls=stats["calls"],
            complete=manifest.complete,
            gaps=manifest.gaps,
            refusal=refusal,
            stats=stats,
        )


def _asked(context: ExtractionContext, privacy: RowPrivacy) -> ExtractionContext:
    """Return the context with the extra fields to request: those without a column, unless the policy drops them."""
    is_dropped = privacy.policy.of("extra") is Treatment.DROP
    return replace(context, extra_fields=NO_EXTRA_FIELDS if is_dropped else context.extra_fields.on(context.platform))


def _page_sizes(settings: Settings, context: ExtractionContext) -> PageSizes:
    if settings.sizes is not None:
        return PageSizes.starting(settings.sizes)
    return PageSizes.default(context.platform, is_history=context.window.since is None)


def _identity(edges: Sequence[ConversationsEdge], context: ExtractionContext, settings: Settings) -> Identity:
    return Identity(
        release=__version__,
        page_id=context.page_id,
        platform=context.platform,
        reads_since=context.since,
        until=context.until,
        folders=[edge.folder for edge in edges],
        user_id=_user_id(edges, settings),
        file_format=settings.file_format,
        privacy=settings.privacy.identity,
        suppressed=settings.suppressed.digest,
        extra_fields=context.extra_fields.names,
    )


def _user_id(edges: Sequence[ConversationsEdge], settings: Settings) -> str | None:
    """Return the one person whose conversation is read, as the policy stores it."""
    user_id = edges[0].user_id
    return None if user_id is None else settings.privacy.person(user_id)


def _manifest_privacy(privacy: RowPrivacy, replaced: Mapping[str, int] = MappingProxyType({})) -> ManifestPrivacy:
    treatments = {column: treatment.value for column, treatment in privacy.policy.treatments.items()}
    return ManifestPrivacy(privacy.policy.name, privacy.key_id, treatments, dict(replaced))


def _header(
    edges: Sequence[ConversationsEdge],
    context: ExtractionContext,
    settings: Settings,
    replaced: Mapping[str, int],
) -> WindowHeader:
    window = context.window
    return WindowHeader(
        page_id=context.page_id,
        platform=context.platform,
        folders=",".join(sorted({edge.folder for edge in edges if edge.folder})),
        user_id=_user_id(edges, settings) or "",
        window_id=window_id(window.since, window.until),
        since=None if window.since is None else iso(window.since),
        until=context.until,
        extracted_time=context.extracted_time,
        file_format=settings.file_format,
        reads_since=context.since or None if window.lookback else None,
        privacy=_manifest_privacy(settings.privacy, replaced),
    )


def now() -> str:
    """Return the present, to the second, as the ledger records when a window was read."""
    return iso(datetime.now(UTC).replace(microsecond=0))
