"""Every conversation of your Facebook Pages, Messenger and Instagram, into files and a warehouse table, every hour.

Nothing here needs editing. The Airflow Variable ``meta_conversations`` (JSON, the keys of ``DEFAULTS``) must say

* ``pages``: a list of Page ids, or ``"all"`` for each Page of the connection's token,
* ``destination``: a local folder, or ``gs://bucket/prefix``,
* ``database``, a DuckDB file, or ``dataset`` of BigQuery (``dataset`` or ``project.dataset``).

The rest has defaults. A run by hand may choose by its params: ``since`` and ``until`` (ISO 8601 with a zone;
``since: "begin"`` for the full history), ``pages`` and ``platforms``, ``destination``, ``dataset`` or ``database``, and
``file_format``. Anything else in a run's conf, an unknown or wrong setting, and a Variable that cannot be read fail the
run with one line. ``allowed_destinations``, ``allowed_datasets`` and ``allowed_databases`` in the Variable limit what a
run may choose: folders and buckets with all that is below them. No setting is rendered as a template.

A scheduled run reads the messages of its data interval.
Where earlier runs left a gap before it, for this Page and platform, it reads those of the gap as well: with catchup off
Airflow skips the intervals that it was down for. A window that was read in part counts as a gap. A run by hand without
an interval reads the last 24 hours.

``lookback_minutes``: a window is read from so much before its beginning on, since Meta lists some messages late.
``on_incomplete``: null lets a window that was read in part fail its task and the check, while conversations of which
Meta withholds something are a warning. ``warn`` and ``fail`` are for both.

One run at a time: two of them would together exceed the calls a second that Meta allows for each Page and platform.
A backfill is refused (from Airflow 3.2 on), since Airflow runs it beside the schedule; a run by hand with ``since`` and
``until`` reads the same in one walk.

The schedule and the pools are fixed when the file is parsed, so they come from the environment.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, Asset, Param, TriggerRule, dag, get_current_context, task
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.utils.types import DagRunType

from airflow_provider_metaconv.dag_settings import ALL_PAGES, merged_settings, run_params, variable_settings
from airflow_provider_metaconv.hooks.google_cloud import GoogleCloud
from airflow_provider_metaconv.operators.extract import MetaConversationsToStorageOperator
from airflow_provider_metaconv.operators.load import (
    MetaConversationsToBigQueryOperator,
    MetaConversationsToDuckDBOperator,
    manifest_uris,
)
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY, MetaGraphRetryPolicy, fail_fast
from airflow_provider_metaconv.window import Window

VARIABLE = "meta_conversations"
# None where somebody has to decide: nothing is read, and nothing written, that nobody asked for.
DEFAULTS: dict[str, Any] = {
    "pages": None,
    "platforms": ["MESSENGER", "INSTAGRAM"],
    # Meta documents no list of folders; these are the ones that are reported to work. Instagram has none.
    "folders": ["inbox", "page_done", "spam", "other"],
    "destination": None,
    "database": None,
    "dataset": None,
    "project_id": None,
    "location": None,
    "file_format": "ndjson",
    "lookback_minutes": 10,
    "on_incomplete": None,
    "meta_conn_id": "meta_graph_default",
    "gcp_conn_id": "google_cloud_default",
    "allowed_destinations": None,
    "allowed_datasets": None,
    "allowed_databases": None,
}
# Meta shows only the 20 newest messages of an Instagram thread: the busier the threads, the shorter the interval.
SCHEDULE = os.environ.get("META_CONVERSATIONS_SCHEDULE", "@hourly")
EXTRACT_POOL = os.environ.get("META_CONVERSATIONS_EXTRACT_POOL", "default_pool")
# One process at a time may open a DuckDB file: name a pool of one slot here if other DAGs use the same file.
WAREHOUSE_POOL = os.environ.get("META_CONVERSATIONS_WAREHOUSE_POOL", "default_pool")

MESSAGES = Asset("meta_conversations_messages")
CONVERSATIONS = Asset("meta_conversations_conversations")

RETRIES: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(minutes=2), "retry_exponential_backoff": True}
if HAS_RETRY_POLICY:
    RETRIES["retry_policy"] = MetaGraphRetryPolicy()

ONE_RUN_AT_A_TIME: dict[str, Any] = {"max_active_runs": 1}
if "allowed_run_types" in inspect.signature(DAG).parameters:
    # A backfill brings its own number of runs at a time, and they do not count among those of the DAG.
    kinds = [kind.value for kind in DagRunType if kind is not DagRunType.BACKFILL_JOB]
    ONE_RUN_AT_A_TIME["allowed_run_types"] = kinds


# All may be null: the form in Airflow's UI demands a value for a param that may not.
PARAMS = {
    "pages": Param(
        None,
        type=["null", "array", "string"],
        items={"type": "string"},
        description='Page ids, or "all"; null: as the Variable says.',
    ),
    "platforms": Param(
        None,
        type=["null", "array"],
        items={"type": "string"},
        examples=["MESSENGER", "INSTAGRAM"],
        description="MESSENGER, INSTAGRAM; null: as the Variable says.",
    ),
    "since": Param(None, type=["null", "string"], description='ISO 8601 with a zone, or "begin" for everything.'),
    "until": Param(None, type=["null", "string"], description="ISO 8601 with a zone."),
    "destination": Param(None, type=["null", "string"], description="A folder or gs://…; null: as the Variable says."),
    "dataset": Param(None, type=["null", "string"], description="Of BigQuery; null: as the Variable says."),
    "database": Param(None, type=["null", "string"], description="A DuckDB file; null: as the Variable says."),
    "file_format": Param(None, type=["null", "string"], description="ndjson, parquet; null: as the Variable says."),
}


@dag(
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    **ONE_RUN_AT_A_TIME,
    default_args=RETRIES,
    params=PARAMS,
    tags=["meta", "conversations"],
    doc_md=__doc__,
)
def meta_conversations() -> None:
    """Settings, then each Page and platform by itself, then one load of all of them, then the proof."""

    @task(multiple_outputs=True)
    def settings() -> dict[str, Any]:
        """What the Variable and the run's params say, with the window of the run; anything odd is one clear line."""
        from airflow.sdk import Variable

        # As text: what is not JSON would be taken for a Variable that is not there.
        stored = None
        with contextlib.suppress(PermissionError):  # a secrets backend that says no
            stored = Variable.get(VARIABLE, default=None)
        try:
            return chosen_settings(stored, get_current_context())
        except ValueError as error:
            raise AirflowFailException(str(error)) from None

    @task
    def targets(settings: dict[str, Any]) -> list[dict[str, Any]]:
        """One set of arguments for the extract operator per Page and platform."""
        with fail_fast():
            pages = pages_and_platforms(settings)
        keys = ("since", "until", "destination", "file_format", "on_incomplete", "meta_conn_id", "gcp_conn_id")
        shared = {
            "folder": settings["folders"],
            "lookback": timedelta(minutes=settings["lookback_minutes"]),
            **{key: settings[key] for key in keys},
        }
        wanted = [{"page_id": page_id, "platform": platform, **shared} for page_id, platform in pages]
        if not wanted:
            raise AirflowFailException("The connection's token can read no Page: see its person's tasks on the Pages.")
        return wanted

    @task.branch
    def warehouse(settings: dict[str, Any]) -> str:
        """Which of the two loads is to run."""
        return "load_into_bigquery" if settings["dataset"] else "load_into_duckdb"

    chosen = settings()
    wanted = targets(chosen)
    extract = MetaConversationsToStorageOperator.partial(
        task_id="extract",
        pool=EXTRACT_POOL,
        fill_gaps=True,
        map_index_template="{{ task.platform }}/{{ task.page_id }}",
    ).expand_kwargs(wanted.map(MetaConversationsToStorageOperator.literal_arguments))

    load: dict[str, Any] = {
        "manifests": extract.output,
        "pool": WAREHOUSE_POOL,
        # A Page whose token is dead fails its own task; the others' messages are loaded all the same.
        "trigger_rule": TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
        "outlets": [MESSAGES, CONVERSATIONS],
    }
    loads = [
        MetaConversationsToDuckDBOperator(task_id="load_into_duckdb", database=chosen["database"], **load),
        MetaConversationsToBigQueryOperator(
            task_id="load_into_bigquery",
            dataset=chosen["dataset"],
            project_id=chosen["project_id"],
            location=chosen["location"],
            gcp_conn_id=chosen["gcp_conn_id"],
            **load,
        ),
    ]

    @task(pool=WAREHOUSE_POOL, trigger_rule=TriggerRule.ALL_DONE)
    def check(manifests: Any, expected: list[dict[str, Any]] | None, settings: dict[str, Any]) -> dict[str, Any]:
        """Fails unless every Page and platform was extracted whole and every row of the files is in the warehouse."""
        from airflow_provider_metaconv.load.load import LoadError, check_manifests

        if not expected:
            raise AirflowFailException("Nothing was extracted: see why in the log of the tasks settings and targets.")
        with fail_fast(), opened_warehouse(settings) as warehouse:
            result = check_manifests(manifest_uris(manifests), warehouse, cloud(settings).open_storage)
        try:
            result.raise_unless_complete(
                expected=[(target["page_id"], target["platform"]) for target in expected],
                on_partial="warn" if settings["on_incomplete"] == "warn" else "fail",
            )
        except LoadError as error:
            raise AirflowFailException(str(error)) from None
        return {"manifests": result.manifests, "incomplete": result.incomplete}

    warehouse(chosen) >> loads >> check(extract.output, wanted, chosen)


def chosen_settings(stored: str | None, context: Any) -> dict[str, Any]:
    """The settings of a run, with its window; raises ``ValueError`` with one line for what is missing or wrong."""
    known = variable_settings(stored, VARIABLE, DEFAULTS)
    params = run_params(context["dag_run"].conf, context["params"], PARAMS)
    since, until = window(params, context["dag_run"])
    asked = {key: value for key, value in params.items() if key in DEFAULTS}
    return {**merged_settings(DEFAULTS, known, asked, VARIABLE), "since": since, "until": until}


def window(params: dict[str, Any], run: Any) -> tuple[str | None, str]:
    """The run's window: its params, or its data interval, or the last 24 hours; None: from the first message."""
    end = run.data_interval_end or run.start_date or pendulum.now("UTC")
    start = run.data_interval_start or end - timedelta(hours=24)
    since, until = params.get("since", start.isoformat()), params.get("until", end.isoformat())
    Window.parse(since, until, now=run.start_date or pendulum.now("UTC"))
    return (None if since == "begin" else since), until


def pages_and_platforms(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """What to extract: the named Pages, or all that the token can read; Instagram only where an account is linked."""
    if settings["pages"] != ALL_PAGES:
        return [(page, platform) for page in settings["pages"] for platform in settings["platforms"]]
    from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook

    return [
        (page["page_id"], platform)
        for page in MetaGraphHook(settings["meta_conn_id"]).list_pages()
        for platform in settings["platforms"]
        if platform != "INSTAGRAM" or page["instagram_account_id"]
    ]


def cloud(settings: dict[str, Any]) -> GoogleCloud:
    """What opens destinations: local folders without any connection, buckets with Google's."""
    return GoogleCloud(settings["gcp_conn_id"])


def opened_warehouse(settings: dict[str, Any]) -> Any:
    """The warehouse that the settings choose."""
    if not settings["dataset"]:
        from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse

        return DuckDBWarehouse(settings["database"])
    # First, since it says how to install what is missing.
    client = cloud(settings).bigquery_client(settings["project_id"], settings["location"])
    from airflow_provider_metaconv.warehouse.bigquery import BigQueryWarehouse

    return BigQueryWarehouse(client, settings["dataset"], location=settings["location"])


meta_conversations()
