"""The DAG as a function: every conversation of your Facebook Pages into files and a warehouse, on a schedule.

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
from typing import Any, Literal

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, Asset, Param, TriggerRule, task
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
from airflow.utils.types import DagRunType

from airflow_provider_metaconv.dag_settings import (
    ALL_PAGES,
    SETTINGS,
    argument_settings,
    merged_settings,
    run_params,
    variable_settings,
)
from airflow_provider_metaconv.dag_warehouses import DagWarehouse, parse_warehouse
from airflow_provider_metaconv.hooks.google_cloud import GCP_CONN_ID, GoogleCloud
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook
from airflow_provider_metaconv.operators.extract import MetaConversationsToStorageOperator
from airflow_provider_metaconv.operators.validation import OnIncomplete, manifest_uris
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY, MetaGraphRetryPolicy, fail_fast
from airflow_provider_metaconv.schema import INSTAGRAM
from airflow_provider_metaconv.window import Window

MESSAGES = Asset("meta_conversations_messages")
CONVERSATIONS = Asset("meta_conversations_conversations")

WITHOUT_INTERVAL = timedelta(hours=24)
"""What a run reads where neither Airflow nor the schedule has an interval for it."""

START_DATE = pendulum.datetime(2026, 1, 1, tz="UTC")

DESCRIPTION = """\
Extracts the conversations of Facebook Pages, Messenger and Instagram, loads them into a warehouse, and checks that
every row arrived.

A scheduled run reads its data interval, and the gap before it where earlier runs left one. A run by hand reads the last
finished interval of the schedule, or what its params say: `{"since": "begin"}` is the full history.

One run at a time: two of them would together exceed the calls a second that Meta allows for a Page. A backfill is
refused (from Airflow 3.2 on), since Airflow runs it beside the schedule; a run by hand with `since` and `until` reads
the same.
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
    """A DAG that extracts each Page and platform by itself, loads all of them at once, and checks what arrived.

    No setting is rendered as a template. A run may choose by its params: ``since``, ``until``, ``pages``,
    ``platforms``, ``destination``, ``file_format``, and ``database`` or ``dataset``, whichever the warehouse has.
    Anything else in its conf fails it.

    Args:
        dag_id: The DAG's id.
        warehouse: ``duckdb:///data/conversations.duckdb`` or ``bigquery://project.dataset``. ``duckdb`` or ``bigquery``
            alone leave the place to the Variable and to a run's params.
        pages: A list of Page ids, or ``"all"`` for each Page of the token.
        destination: A local folder, or ``gs://bucket/prefix``.
        schedule: A cron expression, a preset or a ``timedelta`` (in UTC, with data intervals), a timetable, assets or
            None.
        platforms: ``MESSENGER``, ``INSTAGRAM`` or both.
        folders: Messenger's. Meta documents none; these are reported to work. Instagram has none.
        file_format: ``ndjson`` or ``parquet``.
        lookback_minutes: So much before its beginning a window is read, since Meta lists some messages late.
        on_incomplete: None lets a window that was read in part fail its task and the check, while conversations that
            Meta withholds are a warning. ``warn`` and ``fail`` are for both.
        project_id: The project that pays for BigQuery's jobs; None: the connection's.
        location: Where BigQuery's dataset is.
        meta_conn_id: The connection of type ``meta_graph``.
        gcp_conn_id: The connection for buckets and BigQuery.
        allowed_destinations: What a run may choose, each with all that is below it; None: everything.
        allowed_databases: The same for DuckDB files.
        allowed_datasets: The same for datasets of BigQuery.
        variable: An Airflow Variable, JSON with settings by the names of these arguments (``database`` or ``dataset``
            in place of ``warehouse``). It is read in each run, must be there, and replaces what the arguments say.
        extract_pool: The pool of the extract tasks.
        warehouse_pool: The pool of load and check. One process at a time may open a DuckDB file: DAGs that load into
            the same file share a pool of one slot.
        start_date: As in Airflow's ``DAG``; with catch-up off it delays nothing but the future.
        default_args: For all tasks; 3 retries with back-off where it does not say otherwise.
        tags: As in Airflow's ``DAG``.
        doc_md: As in Airflow's ``DAG``.
        **dag_arguments: Further arguments of Airflow's ``DAG``.

    Raises:
        SettingsError: A setting is wrong, or missing and no Variable is named; a ``ValueError`` with one line.
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
        "meta_conn_id": meta_conn_id,
        "gcp_conn_id": gcp_conn_id,
        "allowed_destinations": allowed_destinations,
        "allowed_databases": allowed_databases,
        "allowed_datasets": allowed_datasets,
        target.setting: place,
    }
    arguments = argument_settings(given, warehouse=target.setting, complete=variable is None)
    timetable = _with_intervals(schedule)
    plan = ConversationsPlan(arguments, variable, target, timetable)
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
    # Airflow shows the file that asked for the DAG, and not this one.
    dag.fileloc = sys._getframe(1).f_code.co_filename
    return dag


@dataclass(frozen=True)
class ConversationsPlan:
    """What a DAG was set up with, and what follows from it for a run."""

    arguments: Mapping[str, Any]
    variable: str | None
    warehouse: DagWarehouse
    timetable: Any = None

    @property
    def params(self) -> dict[str, Param]:
        """The params that a run may set; all may be null, since Airflow's form demands a value for one that may not."""
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
        """The settings of a run with its window; ``stored`` is the Variable's text.

        Raises ``ValueError`` with one line for what is missing or wrong.
        """
        variable = {} if self.variable is None else variable_settings(stored, self.variable)
        chosen = run_params(dag_run.conf, params, self.params)
        since, until = self.window(chosen, dag_run)
        asked = {key: value for key, value in chosen.items() if key in SETTINGS}
        merged = merged_settings(
            self.arguments, variable, asked, warehouse=self.warehouse.setting, variable=self.variable
        )
        return {**merged, "since": since, "until": until}

    def window(self, params: Mapping[str, Any], dag_run: Any) -> tuple[str | None, str]:
        """The run's window: its params, or its interval; None: from the first message."""
        now = dag_run.start_date or pendulum.now("UTC")
        start, end = self._interval(dag_run, now)
        since, until = params.get("since", start.isoformat()), params.get("until", end.isoformat())
        Window.parse(since, until, now=now)
        return (None if since == "begin" else since), until

    def _interval(self, dag_run: Any, now: datetime) -> tuple[datetime, datetime]:
        """Airflow's interval of the run; where it has none, the last one that the schedule finished before the run.

        The UI gives a run by hand that interval, CLI and API give it none: it means the same for all of them.
        """
        if dag_run.data_interval_start and dag_run.data_interval_end:
            return dag_run.data_interval_start, dag_run.data_interval_end
        if isinstance(self.timetable, CronDataIntervalTimetable | DeltaDataIntervalTimetable):
            last = self.timetable.infer_manual_data_interval(run_after=pendulum.instance(now))
            return last.start, last.end
        return now - WITHOUT_INTERVAL, now


def extract_arguments(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One set of arguments for the extract operator per Page and platform."""
    keys = ("since", "until", "destination", "file_format", "on_incomplete", "meta_conn_id", "gcp_conn_id")
    shared = {
        "folder": settings["folders"],
        "lookback": timedelta(minutes=settings["lookback_minutes"]),
        **{key: settings[key] for key in keys},
    }
    return [{"page_id": page_id, "platform": platform, **shared} for page_id, platform in pages_and_platforms(settings)]


def pages_and_platforms(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What to extract: the named Pages, or all that the token can read; Instagram only where an account is linked."""
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
    """Raises ``LoadError`` unless all expected was extracted whole and every row of the files is in the warehouse."""
    from airflow_provider_metaconv.load.load import check_manifests

    with fail_fast(), warehouse.open(settings) as opened:
        result = check_manifests(manifest_uris(manifests), opened, GoogleCloud(settings["gcp_conn_id"]).open_storage)
    result.raise_unless_complete(
        expected=[(target["page_id"], target["platform"]) for target in expected],
        on_partial="warn" if settings["on_incomplete"] == "warn" else "fail",
    )
    return {"manifests": result.manifests, "incomplete": result.incomplete}


def _add_tasks(plan: ConversationsPlan, extract_pool: str, warehouse_pool: str) -> None:
    """Settings, then each Page and platform by itself, then one load of all of them, then the check."""

    @task(multiple_outputs=True)
    def settings(*, dag_run: Any = None, params: Any = None) -> dict[str, Any]:
        """The settings of this run with its window; anything odd is one clear line."""
        from airflow.sdk import Variable

        stored = None
        if plan.variable is not None:
            with contextlib.suppress(PermissionError):  # a secrets backend that says no
                # As text: what is not JSON would be taken for a Variable that is not there.
                stored = Variable.get(plan.variable, default=None)
        try:
            return plan.settings(stored, dag_run, params)
        except ValueError as error:
            raise AirflowFailException(str(error)) from None

    @task
    def targets(settings: Any) -> list[dict[str, Any]]:
        """One set of arguments for the extract operator per Page and platform."""
        with fail_fast():
            wanted = extract_arguments(settings)
        if not wanted:
            raise AirflowFailException("The connection's token can read no Page: see its person's tasks on the Pages.")
        return wanted

    @task(pool=warehouse_pool, trigger_rule=TriggerRule.ALL_DONE)
    def check(manifests: Any, expected: Any, settings: Any) -> dict[str, Any]:
        """Fails unless every Page and platform was extracted whole and every row of the files is in the warehouse."""
        from airflow_provider_metaconv.load.load import LoadError

        if not expected:
            raise AirflowFailException("Nothing was extracted: see why in the log of the tasks settings and targets.")
        try:
            return check_loaded(manifests, expected, settings, plan.warehouse)
        except LoadError as error:
            raise AirflowFailException(str(error)) from None

    chosen = settings()
    wanted = targets(chosen)
    extract = MetaConversationsToStorageOperator.partial(
        task_id="extract",
        pool=extract_pool,
        fill_gaps=True,
        map_index_template="{{ task.platform }}/{{ task.page_id }}",
    ).expand_kwargs(wanted.map(MetaConversationsToStorageOperator.literal_arguments))
    load = plan.warehouse.load_task(
        chosen,
        manifests=extract.output,
        pool=warehouse_pool,
        # A Page whose token is dead fails its own task; the others' messages are loaded all the same.
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
        outlets=[MESSAGES, CONVERSATIONS],
    )
    load >> check(extract.output, wanted, chosen)


def _with_intervals(schedule: Any) -> Any:
    """The schedule as a timetable with data intervals, which a plain one does not have in Airflow 3."""
    if isinstance(schedule, str) and schedule not in ("@once", "@continuous"):
        return CronDataIntervalTimetable(schedule, timezone="UTC")
    return DeltaDataIntervalTimetable(schedule) if isinstance(schedule, timedelta) else schedule


def _retries() -> dict[str, Any]:
    retries: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(minutes=2), "retry_exponential_backoff": True}
    return retries | {"retry_policy": MetaGraphRetryPolicy()} if HAS_RETRY_POLICY else retries


def _one_run_at_a_time() -> dict[str, Any]:
    if "allowed_run_types" not in inspect.signature(DAG).parameters:
        return {"max_active_runs": 1}
    # A backfill brings its own number of runs at a time, and they do not count among those of the DAG.
    kinds = [kind.value for kind in DagRunType if kind is not DagRunType.BACKFILL_JOB]
    return {"max_active_runs": 1, "allowed_run_types": kinds}
