"""Operators that extract a Page's conversations to files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pendulum
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperatorLink, Context
from airflow.sdk import literal

from airflow_provider_metaconv.erase.erase import read_suppressed
from airflow_provider_metaconv.extract.extra_fields import ExtraFields
from airflow_provider_metaconv.extract.extraction import (
    ExtractionResult,
    PartialWindowError,
    Settings,
    extract_conversations,
    known_conversations,
)
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.files.coverage import BEGINNING, Coverage, kept_from
from airflow_provider_metaconv.files.coverage_record import StoredCoverage, claim_window, record_window
from airflow_provider_metaconv.files.errors import FilesError
from airflow_provider_metaconv.files.manifest import FILE_FORMATS, MANIFEST_NAME, window_folder
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.hooks.google_cloud import GCP_CONN_ID, GoogleCloud
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook
from airflow_provider_metaconv.hooks.privacy_key import row_privacy
from airflow_provider_metaconv.observability.coverage_event import coverage_row
from airflow_provider_metaconv.observability.lineage import extraction_lineage
from airflow_provider_metaconv.observability.links import FilesLink, PageInboxLink, push_links
from airflow_provider_metaconv.observability.metrics import AttemptMetrics
from airflow_provider_metaconv.operators.stopping import StoppableOperator
from airflow_provider_metaconv.operators.validation import (
    LOOKBACK,
    ON_INCOMPLETE,
    OnIncomplete,
    checked_page_id,
    checked_place,
    folders_to_read,
    is_scheduled,
    one_of,
    present,
    wait_for_listing,
    window_path,
)
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from airflow_provider_metaconv.retry_policy import (
    HAS_RETRY_POLICY,
    MAX_RATE_LIMIT_WAIT,
    ON_RATE_LIMIT,
    Fail,
    MetaGraphRetryPolicy,
    OnRateLimit,
    Reschedule,
    decide,
    fail_fast,
)
from airflow_provider_metaconv.schema import PLATFORMS
from airflow_provider_metaconv.stop import Stop
from airflow_provider_metaconv.window import Window, checked_retention, retention_cutoff


class MetaConversationsExtractOperator(StoppableOperator):
    """Extracts one Page's messages of one platform and window. Subclasses define the destination.

    The window is ``since <= created_time < until``, ISO 8601 with a time zone, by default the run's data interval;
    ``since=None`` means the full history. ``folder`` is one of Messenger's folders (``inbox``, ``page_done``, ``spam``,
    ``other``) or a list of them; None is Meta's default, the inbox. Instagram has no folders. ``user_id`` limits the
    extraction to one person's conversation.

    ``on_rate_limit``: ``"reschedule"`` (default) frees the worker until Meta lifts a long rate limit, for at most
    ``max_rate_limit_wait`` per attempt; ``"retry"`` uses up a retry.

    ``on_incomplete`` applies once the files are written. By default, conversations that Meta does not return in full
    cause a warning, and a partial window (a list that could not be read) fails the task. ``"warn"`` and ``"fail"``
    apply to both. With ``"warn"``, conversations known from earlier runs are read if a list remains unreadable.
    ``lookback`` is how far before ``since`` messages are read again, because Meta lists some of them late.

    With ``fill_gaps``, a scheduled run starts where the gapless coverage of earlier runs ends, if that is before
    ``since``. It thereby reads intervals that Airflow skipped, and partial windows again. All attempts of a run use the
    same window.

    ``privacy`` decides what is stored: ``"full"`` (default), ``"pseudonymous"``, ``"metadata"``, or a treatment per
    column. All but ``full`` need ``privacy_conn_id``, a Connection whose password is the key. ``scrubber`` is the path
    of a function, ``package.module:function``, that scrubs text in place of the built-in one. A window that was
    extracted under another policy or key is replaced only with ``allow_policy_change``.

    With ``retention``, a timedelta, nothing older is extracted: the window, its lookback and the gap before it start no
    earlier than the midnight (UTC) before ``retention`` ago.

    ``extra_fields`` are further Graph fields, for the column ``extra``: names of fields of messages, and of
    conversations as ``conversations.<name>``. They are not requested if ``privacy`` drops that column.

    Returns ``{"manifest": uri, "messages": n, "conversations": n, "incomplete": n, "calls": n, "complete": true,
    "gaps": []}``, and the Page's row for the coverage page as ``coverage`` unless the lists are narrowed to a folder or
    a person.
    """

    template_fields: Sequence[str] = (
        "page_id",
        "platform",
        "since",
        "until",
        "folder",
        "user_id",
        "file_format",
        "meta_conn_id",
    )
    operator_extra_links: Sequence[BaseOperatorLink] = (PageInboxLink(),)

    places: ClassVar[Sequence[str]] = ()
    """The names of the arguments that define the destination."""

    manifest_uri: str | None = None
    extraction: ExtractionResult | None = None

    def __init__(
        self,
        *,
        page_id: str,
        platform: str,
        since: str | datetime | None = "{{ data_interval_start }}",
        until: str | datetime | None = "{{ data_interval_end }}",
        folder: str | Sequence[str] | None = None,
        user_id: str | None = None,
        file_format: str = "ndjson",
        on_rate_limit: OnRateLimit = "reschedule",
        max_rate_limit_wait: timedelta = MAX_RATE_LIMIT_WAIT,
        on_incomplete: OnIncomplete = None,
        fill_gaps: bool = False,
        lookback: timedelta = LOOKBACK,
        extra_fields: Sequence[str] = (),
        privacy: str | Mapping[str, str] = "full",
        privacy_conn_id: str | None = None,
        scrubber: str | None = None,
        allow_policy_change: bool = False,
        retention: timedelta | None = None,
        meta_conn_id: str = MetaGraphHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.page_id = page_id
        self.platform = platform
        self.since = since
        self.until = until
        self.folder = folder
        self.user_id = user_id
        self.file_format = file_format
        self.on_rate_limit = on_rate_limit
        self.max_rate_limit_wait = max_rate_limit_wait
        self.on_incomplete = on_incomplete
        self.fill_gaps = fill_gaps
        self.lookback = lookback
        self.extra_fields = extra_fields
        self.privacy = privacy
        self.privacy_conn_id = privacy_conn_id
        self.scrubber = scrubber
        self.allow_policy_change = allow_policy_change
        self.retention = retention
        self.meta_conn_id = meta_conn_id
        if HAS_RETRY_POLICY and self.retry_policy is None:
            # This operator reschedules by itself, so the errors that reach the policy should use up a retry.
            self.retry_policy = MetaGraphRetryPolicy(on_rate_limit="retry")

    @classmethod
    def literal_arguments(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Mark arguments as literal, for use in ``expand_kwargs(plans.map(Operator.literal_arguments))``.

        Airflow renders another task's output as a template, and a template can read every connection. Use this for
        values from a run's params, from Meta, or from any other untrusted source.
        """
        return {name: literal(value) if name in cls.template_fields else value for name, value in arguments.items()}

    @abstractmethod
    def open_storage(self, folder: str) -> Storage:
        """Return the storage of this window's files; ``folder`` is relative to the destination."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Extract the window and commit its files and manifest; the class documents the return value."""
        try:
            asked = self._checked_window(present(context))
            window = self._kept(asked, present(context))
            with fail_fast():
                privacy = row_privacy(self.privacy, self.privacy_conn_id, self.scrubber)
            folder = self._folder_of(window, privacy)
        except ValueError as error:
            raise AirflowFailException(str(error)) from None
        try:
            with fail_fast(), self.until_stopped() as stop:
                storage = self.open_storage(folder)
                window, known = self._with_uncovered_time(window, storage.parent(), context)
                if self._folder_of(window, privacy) != folder:
                    storage = self.open_storage(self._folder_of(window, privacy))
                self.extraction = self._extract(window, storage, privacy, context, stop)
                complete = self.extraction.complete
                # What is kept of a full history is repeated manually as well if it is incomplete.
                since = window.since if complete else None if asked.since is None else window.since
                coverage = self._record(since, window.until, complete, storage.parent(), known)
        except Exception as error:
            self._reschedule_or_return(error, context)
            raise
        returned = self.extraction.as_dict() | self._coverage_row(window, privacy, self.extraction, coverage, context)
        self._report_incomplete(self.extraction, returned, context)
        return returned

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the OpenLineage facets: from the Page's conversations to the folder of the files."""
        if self.extraction is None:
            return None
        return extraction_lineage(self.page_id, self.platform, self.extraction)

    def _checked_window(self, now: datetime) -> Window:
        """Validate the arguments and return the window; raises ``ValueError`` naming the argument to change."""
        self.page_id = checked_page_id(self.page_id)
        self.platform = str(self.platform).upper()
        one_of("platform", self.platform, PLATFORMS)
        one_of("file_format", self.file_format, tuple(FILE_FORMATS))
        one_of("on_rate_limit", self.on_rate_limit, ON_RATE_LIMIT)
        if self.on_incomplete is not None:
            one_of("on_incomplete", self.on_incomplete, ON_INCOMPLETE)
        self._extra_fields()
        for name in self.places:
            checked_place(name, getattr(self, name))
        if self.retention is not None:
            checked_retention("retention", self.retention)
        return Window.parse(self.since, self.until, now=now, lookback=self.lookback)

    def _kept(self, window: Window, now: datetime) -> Window:
        return window if self.retention is None else window.not_before(self._cutoff(now))

    def _cutoff(self, now: datetime) -> datetime:
        return BEGINNING if self.retention is None else retention_cutoff(self.retention, now)

    def _extra_fields(self) -> ExtraFields:
        try:
            return ExtraFields.parse(self.extra_fields)
        except ValueError as error:
            raise ValueError(f"extra_fields {error}") from None

    def _folder_of(self, window: Window, privacy: RowPrivacy) -> str:
        user_id = privacy.person(self.user_id) if self.user_id else None
        return window_path(self.platform, self.page_id, window.since, window.until, self.folder, user_id)

    def _with_uncovered_time(
        self, window: Window, coverage: Storage, context: Context
    ) -> tuple[Window, StoredCoverage | None]:
        """Return this run's window, the same in each attempt, and the stored coverage of earlier windows."""
        if not self.fill_gaps or window.since is None or not is_scheduled(context):
            return window, None
        now = present(context)
        since, known = claim_window(coverage, window.since, window.until, self._cutoff(now))
        if since < window.since:
            self.log.info("Reading from %s: the time before %s is not covered yet.", since, window.since)
            window = self._kept(replace(window, since=since), now)
        return window, known

    def _coverage_row(
        self,
        window: Window,
        privacy: RowPrivacy,
        result: ExtractionResult,
        coverage: Coverage | None,
        context: Context,
    ) -> dict[str, Any]:
        """Return the Page's row for the coverage page; nothing if this task reads only a part of the Page."""
        if self._folder_of(window, privacy) != window_folder(self.platform, self.page_id, window.since, window.until):
            return {}
        if coverage is not None:
            coverage = kept_from(coverage, self._cutoff(present(context)))
        page, map_index = f"{self.platform}/{self.page_id}", getattr(context["ti"], "map_index", None)
        row = coverage_row(page, self.task_id, -1 if map_index is None else map_index, window, result, coverage)
        return {"coverage": row}

    def _record(
        self,
        since: datetime | None,
        until: datetime,
        complete: bool,
        coverage: Storage,
        known: StoredCoverage | None,
    ) -> Coverage | None:
        """Record what the committed window covers, for later scheduled runs; None if that fails."""
        try:
            return record_window(coverage, since, until, complete=complete, known=known)
        except FilesError as error:
            # The files are committed, so failing now would only extract them again. The next run does that anyway.
            self.log.warning(
                "Could not record the window as covered, so the next scheduled run reads it again: %s", error
            )
            return None

    def _extract(
        self, window: Window, storage: Storage, privacy: RowPrivacy, context: Context, stop: Stop
    ) -> ExtractionResult:
        # Check the destination first, so that an unwritable folder costs no calls.
        storage.check_writable()
        self.manifest_uri = storage.uri(MANIFEST_NAME)
        push_links(self, context)
        wait_for_listing(window)
        page = MetaGraphHook(self.meta_conn_id, stop).get_page(self.page_id, self.platform)
        if not privacy.policy.is_full:
            page.client.hide_people()
        edges = [
            ConversationsEdge(page.client.get, self.page_id, self.platform, name or None, self.user_id or None)
            for name in folders_to_read(self.platform, self.folder)
        ]
        usernames = frozenset(filter(None, [page.identity.instagram_username]))
        root = self.open_storage("")
        suppressed = read_suppressed(root)
        if self.user_id and self.user_id in suppressed:
            raise AirflowFailException("user_id is on the suppression list of the destination: their data was erased.")
        return extract_conversations(
            edges,
            ExtractionContext(
                self.platform,
                self.page_id,
                page.identity.own_ids,
                window,
                own_usernames=usernames,
                extra_fields=self._extra_fields(),
            ),
            storage,
            page.client,
            Settings(
                file_format=self.file_format,
                accept_partial=self.on_incomplete == "warn",
                privacy=privacy,
                allow_policy_change=self.allow_policy_change,
                suppressed=suppressed,
                reload_suppressed=partial(read_suppressed, root),
                stop=stop,
                sleep=stop.wait,
            ),
            known_ids=lambda: known_conversations(storage),
            observe=AttemptMetrics(self.platform, self.page_id).send,
        )

    def _reschedule_or_return(self, error: Exception, context: Context) -> None:
        """Translate an error into Airflow's terms; returns if the error should be raised unchanged."""
        decision = decide(error)
        if isinstance(decision, Reschedule) and self._may_reschedule(decision.at, context):
            self.log.warning("%s Rescheduled to %s without using up a retry.", error, decision.at.isoformat())
            raise AirflowRescheduleException(decision.at) from None  # type: ignore[no-untyped-call]

    def _may_reschedule(self, at: datetime, context: Context) -> bool:
        if self.on_rate_limit != "reschedule":
            return False
        first = context["ti"].get_first_reschedule_date(context) or pendulum.now("UTC")
        return at - first <= self.max_rate_limit_wait

    def _report_incomplete(self, result: ExtractionResult, returned: dict[str, Any], context: Context) -> None:
        if not result.complete:
            self._report_partial(result, returned, context)
        incomplete = result.incomplete - len(result.gaps)
        if not incomplete:
            return
        line = (
            f"{incomplete} of {result.conversations} conversations are incomplete; "
            f"see the conversation_gaps table, or its files next to {result.manifest}, for which ones and why."
        )
        if self.on_incomplete == "fail":
            raise AirflowFailException(line)
        self.log.warning(line)

    def _report_partial(self, result: ExtractionResult, returned: dict[str, Any], context: Context) -> None:
        """Fail the task for a partial window, or warn if ``on_incomplete`` is ``"warn"``."""
        line = f"The window is partial: {'; '.join(result.gaps)}. Everything that was read is in {result.manifest}."
        if self.on_incomplete == "warn":
            self.log.warning(line)
            return
        # A load can still use the files: the extraction_windows table then marks the window as partial.
        context["ti"].xcom_push(key="return_value", value=returned)
        error = PartialWindowError(f'{line} Set on_incomplete="warn" to accept it.')
        if result.refusal is not None and isinstance(decide(result.refusal), Fail):
            raise AirflowFailException(str(error)) from None
        raise error


class MetaConversationsToLocalFilesystemOperator(MetaConversationsExtractOperator):
    """Extracts one Page's messages of one platform and window to files in the local folder ``destination``.

    The worker that loads the files must see the same folder: on the same machine, or on a shared file system.
    """

    template_fields: Sequence[str] = (*MetaConversationsExtractOperator.template_fields, "destination")
    places = ("destination",)

    def __init__(self, *, destination: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.destination = destination

    def open_storage(self, folder: str) -> Storage:
        """Return the window's folder in ``destination``, created if needed."""
        return LocalStorage(Path(self.destination) / folder)


class MetaConversationsToStorageOperator(MetaConversationsExtractOperator):
    """Extracts one Page's messages of one platform and window to ``destination``.

    ``destination`` is a local folder or ``gs://bucket/prefix``, for DAGs that read it from their settings.
    """

    template_fields: Sequence[str] = (
        *MetaConversationsExtractOperator.template_fields,
        "destination",
        "gcp_conn_id",
        "impersonation_chain",
    )
    places = ("destination",)
    operator_extra_links: Sequence[BaseOperatorLink] = (PageInboxLink(), FilesLink())

    def __init__(
        self,
        *,
        destination: str,
        gcp_conn_id: str = GCP_CONN_ID,
        impersonation_chain: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.destination = destination
        self.gcp_conn_id = gcp_conn_id
        self.impersonation_chain = impersonation_chain

    def open_storage(self, folder: str) -> Storage:
        """Return the window's folder in ``destination``."""
        return GoogleCloud(self.gcp_conn_id, self.impersonation_chain).open_storage(f"{self.destination}/{folder}")


class MetaConversationsToGCSOperator(MetaConversationsExtractOperator):
    """Extracts one Page's messages of one platform and window to a Google Cloud Storage bucket, under ``prefix``.

    ``gcp_conn_id`` and ``impersonation_chain`` work as in Google's own operators. Requires the extra ``google``; the
    account needs the role Storage Object User on the bucket.
    """

    template_fields: Sequence[str] = (
        *MetaConversationsExtractOperator.template_fields,
        "bucket",
        "prefix",
        "gcp_conn_id",
        "impersonation_chain",
    )
    places = ("bucket", "prefix")
    operator_extra_links: Sequence[BaseOperatorLink] = (PageInboxLink(), FilesLink())

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str = "",
        gcp_conn_id: str = GCP_CONN_ID,
        impersonation_chain: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.prefix = prefix
        self.gcp_conn_id = gcp_conn_id
        self.impersonation_chain = impersonation_chain

    def open_storage(self, folder: str) -> Storage:
        """Return the window's folder in the bucket, under ``prefix``."""
        place = "/".join(filter(None, [self.bucket.removeprefix("gs://").rstrip("/"), self.prefix, folder]))
        return GoogleCloud(self.gcp_conn_id, self.impersonation_chain).open_storage(f"gs://{place}")
