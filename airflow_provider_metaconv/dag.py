"""A function that creates the DAG: all conversations of your Facebook Pages to files and a warehouse, on a schedule.

from airflow_provider_metaconv.dag import meta_conversations_dag

meta_conversations_dag(
    schedule="@hourly",
    pages="all",
    destination="/data/conversations",
    warehouse="duckdb:///data/conversations.duckdb",
)
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, Asset, Param, TriggerRule, task
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
from airflow.utils.types import DagRunType

from airflow_provider_metaconv.dag_settings import (
    ALL_PAGES,
    SETTINGS,
    argument_settings,
    check_retention,
    days_of,
    merged_settings,
    retention_of,
    run_params,
    variable_settings,
)
from airflow_provider_metaconv.dag_warehouses import DagWarehouse, parse_warehouse, warehouse_of
from airflow_provider_metaconv.erase.retention import remove_old
from airflow_provider_metaconv.hooks.google_cloud import GCP_CONN_ID, GoogleCloud
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook
from airflow_provider_metaconv.observability.coverage_event import COVERAGE_ASSET
from airflow_provider_metaconv.operators.extract import MetaConversationsToStorageOperator
from airflow_provider_metaconv.operators.validation import OnIncomplete, manifest_uris
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY, MetaGraphRetryPolicy, fail_fast
from airflow_provider_metaconv.schema import INSTAGRAM
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from airflow_provider_metaconv.window import Window, retention_cutoff

MESSAGES = Asset("meta_conversations_messages")
CONVERSATIONS = Asset("meta_conversations_conversations")
COVERAGE = Asset(COVERAGE_ASSET)

WITHOUT_INTERVAL = timedelta(hours=24)
"""How far back a run reads if neither Airflow nor the schedule defines an interval for it."""

START_DATE = pendulum.datetime(2026, 1, 1, tz="UTC")

DESCRIPTION = """\
Extracts the conversations of Facebook Pages (Messenger and Instagram), loads them into a warehouse, and checks that
every row arrived.

A scheduled run reads its data interval, and the gap before it if earlier runs left one. A manual run reads the last
finished interval of the schedule, or what its params say: `{"since": "begin"}` is the full history.

Only one run is active at a time, because two runs together would exceed the calls per second that Meta allows for a
Page. Backfills are rejected (from Airflow 3.2 on), because Airflow runs them alongside the schedule. A manual run with
`since` and `until` reads the same messages.
"""


def meta_conversations_dag(
    dag_id: str = "meta_conversations",
    *,
    warehouse: str,
    pages: Literal["all"] | Sequence[str | int] | None = None,
    destination: str | None = None,
    schedule: Any = "@hourly",
    platforms: Sequence[str] = ("MESSENGER", "INSTAGRAM"),
    folders: Sequence[str] = ("inbox", "page_done", "spam", "other"),
    file_format: str = "ndjson",
    lookback_minutes: float = 10,
    on_incomplete: OnIncomplete = None,
    project_id: str | None = None,
    location: str | None = None,
    retention: timedelta | None = None,
    extra_fields: Sequence[str] = (),
    privacy: str | Mapping[str, str] = "full",
    privacy_conn_id: str | None = None,
    scrubber: str | None = None,
    allow_policy_change: bool = False,
    create_views: bool = True,
    view_options: ViewOptions | Mapping[str, Any] | None = None,
    meta_conn_id: str = MetaGraphHook.default_conn_name,
    gcp_conn_id: str = GCP_CONN_ID,
    allowed_destinations: Sequence[str] | None = None,
    allowed_databases: Sequence[str] | None = None,
    allowed_datasets: Sequence[str] | None = None,
    variable: str | None = None,
    extract_pool: str = "default_pool",
    warehouse_pool: str = "default_pool",
    start_date: datetime = START_DATE,
    default_args: Mapping[str, Any] | None = None,
    tags: Sequence[str] = ("meta", "conversations"),
    doc_md: str = DESCRIPTION,
    **dag_arguments: Any,
) -> DAG:
    """Create a DAG that extracts each Page and platform separately, loads them all at once, and checks the result.

    Settings are never rendered as templates. A run can override ``since``, ``until``, ``pages``, ``platforms``,
    ``destination``, ``file_format``, and the warehouse's ``database`` or ``dataset`` with its params. Any other key in
    its conf fails the run.

    Args:
        dag_id: The DAG's ID.
        warehouse: ``duckdb:///data/conversations.duckdb`` or ``bigquery://project.dataset``. With only ``duckdb`` or
            ``bigquery``, the Variable or a run's params define the database or dataset.
        pages: A list of Page IDs, or ``"all"`` for every Page of the token.
        destination: A local folder, or ``gs://bucket/prefix``.
        schedule: A cron expression, a preset or a ``timedelta`` (in UTC, with data intervals), a timetable, assets or
            None.
        platforms: ``MESSENGER``, ``INSTAGRAM`` or both.
        folders: Messenger's folders. Meta does not document them; these are known to work. Instagram has none.
        file_format: ``ndjson`` or ``parquet``.
        lookback_minutes: How far before its start a window is read, because Meta lists some messages late.
        on_incomplete: With None, a partial window fails its task and the check, and conversations that Meta does not
            return in full cause a warning. ``warn`` and ``fail`` apply to both.
        project_id: The project that pays for the BigQuery jobs; None means the connection's.
        location: The location of the BigQuery dataset.
        retention: How long messages are kept. Older ones are not extracted, and leave files and tables in a daily task.
            At least a day; None keeps them for ever. In a Variable it is ``retention_days``, a number.
        extra_fields: Further Graph fields for the column ``extra``: names of fields of messages, and of conversations
            as ``conversations.<name>``.
        privacy: What is stored: ``full``, ``pseudonymous``, ``metadata``, or a treatment per column.
        privacy_conn_id: The connection whose password is the key of the pseudonyms; needed by all but ``full``.
        scrubber: The path of a function, ``package.module:function``, that scrubs text in place of the built-in one.
        allow_policy_change: Whether files and tables of another policy or key may be replaced and mixed.
        create_views: Whether the load also creates the analytics views, or replaces those that have changed.
        view_options: ``ViewOptions`` of these views, or a mapping with some of its fields.
        meta_conn_id: The connection of type ``meta_graph``.
        gcp_conn_id: The connection for Google Cloud Storage and BigQuery.
        allowed_destinations: Destinations that a run may choose, including everything under them; None allows all.
        allowed_databases: The same for DuckDB files.
        allowed_datasets: The same for BigQuery datasets.
        variable: An Airflow Variable: JSON with settings named like these arguments (``database`` or ``dataset``
            instead of ``warehouse``, ``retention_days`` instead of ``retention``). It is read in each run, must exist,
            and overrides the arguments.
        extract_pool: The pool of the extract tasks.
        warehouse_pool: The pool of the load and check tasks. Only one process at a time can open a DuckDB file, so DAGs
            that load into the same file must share a pool with one slot.
        start_date: As in Airflow's ``DAG``. Catch-up is off, so only a date in the future has an effect.
        default_args: For all tasks. The default is 3 retries with exponential back-off.
        tags: As in Airflow's ``DAG``.
        doc_md: As in Airflow's ``DAG``.
        **dag_arguments: Further arguments of Airflow's ``DAG``.

    Raises:
        SettingsError: A setting is invalid, or is missing and no Variable is given. A ``ValueError`` with one line.
    """
    target, place = parse_warehouse(warehouse, alone=variable is not None)
    given = {
        "pages": pages,
        "platforms": platforms,
        "folders": folders,
        "destination": destination,
        "file_format": file_format,
        "lookback_minutes": lookback_minutes,
        "on_incomplete": on_incomplete,
        "project_id": project_id,
        "location": location,
        "retention_days": days_of(retention),
        "extra_fields": extra_fields,
        "privacy": privacy,
        "privacy_conn_id": privacy_conn_id,
        "create_views": create_views,
        "view_options": view_options,
        "meta_conn_id": meta_conn_id,
        "gcp_conn_id": gcp_conn_id,
        "allowed_destinations": allowed_destinations,
        "allowed_databases": allowed_databases,
        "allowed_datasets": allowed_datasets,
        target.setting: place,
    }
    arguments = argument_settings(given, warehouse=target.setting, complete=variable is None)
    timetable = _with_intervals(schedule)
    plan = ConversationsPlan(arguments, variable, target, timetable, scrubber, allow_policy_change)
    with DAG(
        dag_id,
        schedule=timetable,
        start_date=start_date,
        catchup=False,
        default_args={**_retries(), **(default_args or {})},
        params=plan.params,
        tags=list(tags),
        doc_md=doc_md,
        **_one_run_at_a_time(),
        **dag_arguments,
    ) as dag:
        _add_tasks(plan, extract_pool, warehouse_pool)
    # Airflow must show the file that defines the DAG, not this one.
    dag.fileloc = sys._getframe(1).f_code.co_filename
    return dag


@dataclass(frozen=True)
class ConversationsPlan:
    """The arguments of a DAG, and what follows from them for a run."""

    arguments: Mapping[str, Any]
    variable: str | None
    warehouse: DagWarehouse
    timetable: Any = None
    scrubber: str | None = None
    allow_policy_change: bool = False

    @property
    def has_retention(self) -> bool:
        """Whether the DAG has a task that removes old messages."""
        return self.arguments["retention_days"] is not None

    @property
    def params(self) -> dict[str, Param]:
        """The params of a run. All may be null, because Airflow's form requires a value for any other param."""
        text, texts = ["null", "string"], ["null", "array"]
        as_set_up = "null: as the DAG is set up."
        return {
            "pages": Param(
                None,
                type=["null", "array", "string"],
                items={"type": "string"},
                description=f'Page ids, or "all"; {as_set_up}',
            ),
            "platforms": Param(
                None,
                type=texts,
                items={"type": "string"},
                examples=["MESSENGER", "INSTAGRAM"],
                description=f"MESSENGER, INSTAGRAM; {as_set_up}",
            ),
            "since": Param(None, type=text, description='ISO 8601 with a zone, or "begin" for everything.'),
            "until": Param(None, type=text, description="ISO 8601 with a zone."),
            "destination": Param(None, type=text, description=f"A folder or gs://…; {as_set_up}"),
            self.warehouse.setting: Param(None, type=text, description=f"{self.warehouse.param}; {as_set_up}"),
            "file_format": Param(None, type=text, description=f"ndjson, parquet; {as_set_up}"),
        }

    def settings(self, stored: str | None, dag_run: Any, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a run and its window; ``stored`` is the Variable's text.

        Raises ``ValueError`` with one line for a missing or invalid setting.
        """
        variable = {} if self.variable is None else variable_settings(stored, self.variable)
        chosen = run_params(dag_run.conf, params, self.params)
        since, until = self.window(chosen, dag_run)
        asked = {key: value for key, value in chosen.items() if key in SETTINGS}
        merged = merged_settings(
            self.arguments, variable, asked, warehouse=self.warehouse.setting, variable=self.variable
        )
        check_retention(merged, self.arguments, self.variable)
        if (retention := retention_of(merged)) is not None:
            now = _start(dag_run)
            Window.parse(since or "begin", until, now=now).not_before(retention_cutoff(retention, now))
        return {**merged, "since": since, "until": until}

    def window(self, params: Mapping[str, Any], dag_run: Any) -> tuple[str | None, str]:
        """Return the run's window from its params or interval; None as start means from the first message."""
        now = _start(dag_run)
        start, end = self._interval(dag_run, now)
        since, until = params.get("since", start.isoformat()), params.get("until", end.isoformat())
        Window.parse(since, until, now=now)
        return (None if since == "begin" else since), until

    def _interval(self, dag_run: Any, now: datetime) -> tuple[datetime, datetime]:
        """Return the run's data interval, or else the last interval that the schedule finished before the run.

        The UI assigns that interval to a manual run, while the CLI and the API assign none. This makes them equivalent.
        """
        if dag_run.data_interval_start and dag_run.data_interval_end:
            return dag_run.data_interval_start, dag_run.data_interval_end
        if isinstance(self.timetable, CronDataIntervalTimetable | DeltaDataIntervalTimetable):
            last = self.timetable.infer_manual_data_interval(run_after=pendulum.instance(now))
            return last.start, last.end
        return now - WITHOUT_INTERVAL, now


def _start(dag_run: Any) -> datetime:
    start: datetime = dag_run.start_date or pendulum.now("UTC")
    return start


def extract_arguments(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one set of extract operator arguments per Page and platform."""
    keys = (
        *("since", "until", "destination", "file_format", "on_incomplete"),
        *("extra_fields", "privacy", "privacy_conn_id", "meta_conn_id", "gcp_conn_id"),
    )
    shared = {
        "folder": settings["folders"],
        "lookback": timedelta(minutes=settings["lookback_minutes"]),
        "retention": retention_of(settings),
        **{key: settings[key] for key in keys},
    }
    return [{"page_id": page_id, "platform": platform, **shared} for page_id, platform in pages_and_platforms(settings)]


def pages_and_platforms(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the given Pages, or all Pages of the token; Instagram only for Pages with a linked account."""
    if settings["pages"] != ALL_PAGES:
        return [(page, platform) for page in settings["pages"] for platform in settings["platforms"]]
    return [
        (page["page_id"], platform)
        for page in MetaGraphHook(settings["meta_conn_id"]).list_pages()
        for platform in settings["platforms"]
        if platform != INSTAGRAM or page["instagram_account_id"]
    ]


def check_loaded(
    manifests: Any, expected: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], warehouse: DagWarehouse
) -> dict[str, Any]:
    """Raise ``LoadError`` unless everything expected was fully extracted and every row is in the warehouse."""
    from airflow_provider_metaconv.load.load import check_manifests

    with fail_fast(), warehouse_of(warehouse, settings)() as opened:
        result = check_manifests(manifest_uris(manifests), opened, GoogleCloud(settings["gcp_conn_id"]).open_storage)
    result.raise_unless_complete(
        expected=[(target["page_id"], target["platform"]) for target in expected],
        on_partial="warn" if settings["on_incomplete"] == "warn" else "fail",
    )
    return {"manifests": result.manifests, "incomplete": result.incomplete}


def remove_old_messages(settings: Mapping[str, Any], now: datetime, warehouse: DagWarehouse) -> dict[str, Any]:
    """Remove messages that the settings do not keep at ``now`` from the run's files and tables, once a day."""
    if not settings:
        raise AirflowFailException("No message was removed: see the log of the settings task.")
    retention = timedelta(days=settings["retention_days"])
    name = f"{warehouse.setting}={settings[warehouse.setting]}"
    with fail_fast():
        root = GoogleCloud(settings["gcp_conn_id"]).open_storage(settings["destination"])
        cutoff = retention_cutoff(retention, now)
        return remove_old(root, cutoff, retention, warehouse_of(warehouse, settings), name).as_dict()


def stored_variable(name: str | None) -> str | None:
    """Return the text of a Variable; None if no name is given, or it does not exist or cannot be read."""
    from airflow.sdk import Variable

    if name is None:
        return None
    with contextlib.suppress(PermissionError):  # from a secrets backend that denies access
        # Read as text, because invalid JSON would be reported as a missing Variable.
        return cast(str | None, Variable.get(name, default=None))
    return None


def _add_tasks(plan: ConversationsPlan, extract_pool: str, warehouse_pool: str) -> None:
    """Add the tasks: settings, one extract per Page and platform, one load of them all, and the check."""

    @task(multiple_outputs=True)
    def settings(*, dag_run: Any = None, params: Any = None) -> dict[str, Any]:
        """The settings of this run and its window. Any problem is reported in one line."""
        try:
            return plan.settings(stored_variable(plan.variable), dag_run, params)
        except ValueError as error:
            raise AirflowFailException(str(error)) from None

    @task
    def targets(settings: Any) -> list[dict[str, Any]]:
        """One set of extract operator arguments per Page and platform."""
        with fail_fast():
            wanted = extract_arguments(settings)
        if not wanted:
            raise AirflowFailException("The connection's token can read no Page: check its user's tasks on the Pages.")
        return wanted

    @task(pool=warehouse_pool, trigger_rule=TriggerRule.ALL_DONE)
    def retention(settings: Any, dag_run: Any = None) -> dict[str, Any]:
        """Removes old messages from files and tables, once a day, even if no Page could be read."""
        return remove_old_messages(settings, _start(dag_run), plan.warehouse)

    @task(pool=warehouse_pool, trigger_rule=TriggerRule.ALL_DONE)
    def check(manifests: Any, expected: Any, settings: Any, removed: Any = None) -> dict[str, Any]:
        """Fails unless every Page and platform was fully extracted and every row is in the warehouse."""
        from airflow_provider_metaconv.load.load import LoadError

        if not expected:
            raise AirflowFailException("Nothing was extracted: see the logs of the settings and targets tasks.")
        try:
            result = check_loaded(manifests, expected, settings, plan.warehouse)
        except LoadError as error:
            raise AirflowFailException(str(error)) from None
        if plan.has_retention and not removed:
            raise AirflowFailException("Old messages were not removed: see the log of the retention task.")
        return result

    chosen = settings()
    wanted = targets(chosen)
    extract = MetaConversationsToStorageOperator.partial(
        task_id="extract",
        pool=extract_pool,
        fill_gaps=True,
        scrubber=plan.scrubber,
        allow_policy_change=plan.allow_policy_change,
        map_index_template="{{ task.platform }}/{{ task.page_id }}",
    ).expand_kwargs(wanted.map(MetaConversationsToStorageOperator.literal_arguments))
    load = plan.warehouse.load_task(
        chosen,
        manifests=extract.output,
        allow_policy_change=plan.allow_policy_change,
        pool=warehouse_pool,
        # A Page with an invalid token fails only its own task; the messages of the other Pages are still loaded.
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
        outlets=[MESSAGES, CONVERSATIONS, COVERAGE],
    )
    # Before the check, which then finds every row of the run after it, and fails the run if old messages are left.
    removed: Any = retention(chosen) if plan.has_retention else None
    checked: Any = check(extract.output, wanted, chosen, removed)
    load >> ([removed, checked] if plan.has_retention else checked)


def _with_intervals(schedule: Any) -> Any:
    """Return the schedule as a timetable with data intervals, which a plain schedule does not have in Airflow 3."""
    if isinstance(schedule, str) and schedule not in ("@once", "@continuous"):
        return CronDataIntervalTimetable(schedule, timezone="UTC")
    return DeltaDataIntervalTimetable(schedule) if isinstance(schedule, timedelta) else schedule


def _retries() -> dict[str, Any]:
    retries: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(minutes=2), "retry_exponential_backoff": True}
    return retries | {"retry_policy": MetaGraphRetryPolicy()} if HAS_RETRY_POLICY else retries


def _one_run_at_a_time() -> dict[str, Any]:
    if "allowed_run_types" not in inspect.signature(DAG).parameters:
        return {"max_active_runs": 1}
    # A backfill has its own limit of active runs and does not count towards the DAG's.
    kinds = [kind.value for kind in DagRunType if kind is not DagRunType.BACKFILL_JOB]
    return {"max_active_runs": 1, "allowed_run_types": kinds}
