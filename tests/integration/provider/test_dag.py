"""``meta_conversations_dag``: arguments, graph, and the settings and window of each kind of run."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.timetables.interval import DeltaDataIntervalTimetable

from airflow_provider_metaconv.dag import extract_arguments, meta_conversations_dag, pages_and_platforms
from airflow_provider_metaconv.dag_settings import SETTINGS, SettingsError
from airflow_provider_metaconv.graph.errors import UnexpectedResponseError
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook
from airflow_provider_metaconv.warehouse.view_options import ViewOptions

REPOSITORY = Path(__file__).parents[3]
HOUR = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = HOUR.replace(hour=14, minute=25)
VARIABLE = {"pages": ["100"], "destination": "/data/meta", "database": "/data/meta.duckdb"}
ARGUMENTS: dict[str, Any] = {"pages": "all", "destination": "/data/meta", "warehouse": "duckdb:///data/meta.duckdb"}
KEPT = {"retention": timedelta(days=30)}
DECLARED = ("pages", "platforms", "since", "until", "destination", "database", "file_format")
UNDECLARED = {
    "meta_conn_id": "other",
    "gcp_conn_id": "other",
    "folders": ["inbox"],
    "page": ["100"],
    "project_id": "example-project",
    "lookback_minutes": 0,
    "retention_days": 1,
    "allowed_destinations": ["/"],
    "anything": None,
}


def context(interval: bool = True, conf: dict[str, Any] | None = None) -> dict[str, Any]:
    """The context of a task whose run started at 14:25."""
    run = SimpleNamespace(
        start_date=LATER,
        data_interval_start=HOUR if interval else None,
        data_interval_end=HOUR.replace(hour=13) if interval else None,
        conf=conf,
    )
    # As in Airflow: what the run was given is merged with the declared parameters.
    return {"params": {**dict.fromkeys(DECLARED), **(conf or {})}, "dag_run": run}


def run_settings(dag: DAG, given: dict[str, Any]) -> dict[str, Any]:
    """The result of the task settings."""
    task = dag.get_task("settings")
    assert isinstance(task, PythonOperator)
    found: dict[str, Any] = task.python_callable(**given)
    return found


Settings = Callable[..., dict[str, Any]]


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The result of the task settings for a run of a DAG that is configured by a Variable."""

    def settings(
        stored: dict[str, Any] | str = VARIABLE,
        conf: dict[str, Any] | None = None,
        *,
        given: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        monkeypatch.setenv("AIRFLOW_VAR_CONVERSATIONS", stored if isinstance(stored, str) else json.dumps(stored))
        dag = meta_conversations_dag(**{"warehouse": "duckdb", "variable": "conversations", **arguments})
        return run_settings(dag, given or context(conf=conf))

    return settings


def graph(dag: DAG) -> dict[str, set[str]]:
    return {task.task_id: task.upstream_task_ids for task in dag.tasks}


def test_the_duckdb_dag_loads_only_into_duckdb() -> None:
    assert graph(meta_conversations_dag(**ARGUMENTS)) == {
        "settings": set(),
        "targets": {"settings"},
        "extract": {"targets"},
        "load_into_duckdb": {"settings", "extract"},
        "check": {"settings", "targets", "extract", "load_into_duckdb"},
    }


def test_a_retention_adds_a_task_between_load_and_check() -> None:
    assert graph(meta_conversations_dag(**ARGUMENTS, retention=timedelta(days=30))) == {
        "settings": set(),
        "targets": {"settings"},
        "extract": {"targets"},
        "load_into_duckdb": {"settings", "extract"},
        "retention": {"settings", "load_into_duckdb"},
        "check": {"settings", "targets", "extract", "load_into_duckdb", "retention"},
    }


def test_extract_tasks_know_the_retention() -> None:
    settings = run_settings(meta_conversations_dag(**ARGUMENTS | KEPT), context())
    [arguments] = extract_arguments({**settings, "pages": ["100"], "platforms": ["MESSENGER"]})
    assert arguments["retention"] == timedelta(days=30)


def test_a_variable_changes_the_retention_of_a_dag_that_has_one(settings_of: Settings) -> None:
    assert settings_of({**VARIABLE, "retention_days": 1.5}, **KEPT)["retention_days"] == 1.5
    for stored, arguments in (({"retention_days": 7}, {}), ({"retention_days": None}, KEPT)):
        with pytest.raises(AirflowFailException, match="retention_days in the Variable conversations does not apply"):
            settings_of({**VARIABLE, **stored}, **arguments)


@pytest.mark.parametrize("days", [0.5, -1, True, "30", 40_000])
def test_an_invalid_number_of_days_is_refused(settings_of: Settings, days: Any) -> None:
    with pytest.raises(AirflowFailException, match="must be a number of days from 1 to 36,500") as caught:
        settings_of({**VARIABLE, "retention_days": days}, **KEPT)
    assert "\n" not in str(caught.value)


def test_a_window_that_is_no_longer_kept_fails_first(settings_of: Settings) -> None:
    window = {"since": "2026-01-01T00:00Z", "until": "2026-02-01T00:00Z"}
    with pytest.raises(AirflowFailException, match=r"until=.* must be after 2026-10-21T00:00:00.*: choose a later"):
        settings_of(VARIABLE, window, **KEPT)
    assert settings_of(VARIABLE, {"since": "begin"}, **KEPT)["since"] is None


def test_the_check_fails_if_old_messages_were_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_metaconv.dag.check_loaded", lambda *_: {"manifests": 0, "incomplete": 0})
    check = meta_conversations_dag(**ARGUMENTS | KEPT).get_task("check")
    assert isinstance(check, PythonOperator)
    with pytest.raises(AirflowFailException, match="Old messages were not removed: see the log of the retention task"):
        check.python_callable([], [{}], {}, None)
    assert check.python_callable([], [{}], {}, {"windows": 0}) == {"manifests": 0, "incomplete": 0}


@pytest.mark.parametrize("warehouse", ["bigquery://meta", "bigquery://example-project.meta"])
def test_the_bigquery_dag_loads_only_into_bigquery(warehouse: str) -> None:
    dag = meta_conversations_dag(**{**ARGUMENTS, "warehouse": warehouse, "destination": "gs://example-bucket/meta"})
    assert graph(dag) == {
        "settings": set(),
        "targets": {"settings"},
        "extract": {"targets"},
        "load_into_bigquery": {"settings", "extract"},
        "check": {"settings", "targets", "extract", "load_into_bigquery"},
    }
    settings = run_settings(dag, context())
    assert settings["dataset"] == warehouse.removeprefix("bigquery://")


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"pages": None}, "pages is not set: add it to the DAG's arguments"),
        ({"destination": None}, "destination is not set: add it to the DAG's arguments"),
        ({"pages": "100"}, "pages in the DAG's arguments must be a non-empty list"),
        ({"platforms": ["X"]}, "platforms in the DAG's arguments must contain only MESSENGER, INSTAGRAM"),
        ({"destination": "/data/{{ ds }}"}, "destination in the DAG's arguments must not contain a template"),
        ({"destination": "gs://example-bucket/meta"}, "destination is a bucket, which DuckDB cannot read"),
        ({"warehouse": "duckdb"}, 'warehouse has no database: use "duckdb:///data/conversations.duckdb"'),
        ({"warehouse": "bigquery://"}, "warehouse has no dataset"),
        ({"warehouse": "bigquery://example-project/meta"}, "warehouse has no dataset"),
        ({"warehouse": "duckdb://meta.duckdb"}, "warehouse must have three slashes, then an absolute path"),
        ({"warehouse": "duckdb:////data/meta.duckdb"}, "warehouse must have three slashes, then an absolute path"),
        ({"warehouse": "postgresql://name:password@host/x"}, "warehouse is unknown"),
        ({"warehouse": ""}, "warehouse is unknown"),
        (
            {"retention": timedelta(hours=23)},
            "retention in the DAG's arguments must be a timedelta from 1 to 36,500 days.",
        ),
        ({"retention": 30}, "retention in the DAG's arguments must be a timedelta from 1 to 36,500 days."),
        ({"retention": timedelta.max}, "retention in the DAG's arguments must be a timedelta from 1 to 36,500 days."),
        ({"allowed_databases": ["/other"]}, "database is not among allowed_databases"),
    ],
)
def test_an_invalid_argument_fails_in_one_line_at_parse_time(wrong: dict[str, Any], expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        meta_conversations_dag(**{**ARGUMENTS, **wrong})
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)
    assert "password" not in str(caught.value)


def test_every_setting_is_an_argument() -> None:
    arguments = set(inspect.signature(meta_conversations_dag).parameters)
    assert set(SETTINGS) - arguments == {"database", "dataset", "retention_days"}


def test_an_unknown_argument_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="max_active_runs"):
        meta_conversations_dag(**ARGUMENTS, max_active_runs=2)
    with pytest.raises(TypeError, match="page"):
        meta_conversations_dag(**ARGUMENTS, page=["100"])


def test_the_dags_file_is_the_one_that_calls_the_function() -> None:
    assert meta_conversations_dag(**ARGUMENTS).fileloc == __file__


def test_default_args_are_merged_with_the_retry_settings() -> None:
    dag = meta_conversations_dag(**ARGUMENTS, default_args={"owner": "data", "retries": 5})
    extract, check = dag.get_task("extract"), dag.get_task("check")
    assert (check.owner, check.retries, check.retry_exponential_backoff) == ("data", 5, True)
    assert (extract.owner, extract.retries) == ("data", 5)


def test_each_task_is_in_its_pool() -> None:
    dag = meta_conversations_dag(**ARGUMENTS, extract_pool="meta", warehouse_pool="duckdb")
    pools = {task.task_id: task.pool for task in dag.tasks}
    assert {name: pool for name, pool in pools.items() if pool != "default_pool"} == {
        "extract": "meta",
        "load_into_duckdb": "duckdb",
        "check": "duckdb",
    }


def test_extract_tasks_fill_gaps() -> None:
    extract = meta_conversations_dag(**ARGUMENTS).get_task("extract")
    assert isinstance(extract, MappedOperator)
    assert extract.partial_kwargs["fill_gaps"] is True


def test_a_backfill_beside_the_schedule_is_not_allowed() -> None:
    dag = meta_conversations_dag(**ARGUMENTS)
    assert dag.max_active_runs == 1
    if hasattr(dag, "allowed_run_types"):  # from Airflow 3.2 on
        allowed = dag.allowed_run_types
        assert isinstance(allowed, Collection)
        assert "backfill" not in {getattr(kind, "value", kind) for kind in allowed}


def test_a_loop_of_25_dags_covers_ten_thousand_pages() -> None:
    page_ids = [str(100_000 + number) for number in range(10_000)]
    dags = [
        meta_conversations_dag(
            f"meta_conversations_{part:02}",
            schedule=f"{2 * part} * * * *",
            pages=page_ids[part::25],
            destination="gs://example-bucket/meta",
            warehouse="bigquery://example-project.meta",
        )
        for part in range(25)
    ]
    assert len({dag.dag_id for dag in dags}) == 25
    read = [run_settings(dag, context())["pages"] for dag in dags]
    assert sorted(page_id for pages in read for page_id in pages) == page_ids
    # Airflow maps at most 1,024 tasks of one operator (core.max_map_length).
    assert max(len(pages) * 2 for pages in read) <= 1024


@pytest.mark.parametrize(
    ("since", "until", "given"),
    [
        ("2026-11-20T12:00:00+00:00", "2026-11-20T13:00:00+00:00", context()),
        # A run from the CLI or the API has no interval: it reads the window of a run from the UI.
        ("2026-11-20T13:00:00+00:00", "2026-11-20T14:00:00+00:00", context(interval=False)),
        (None, "2026-11-20T13:00:00+00:00", context(conf={"since": "begin"})),
        (None, "2026-11-20T14:00:00+00:00", context(interval=False, conf={"since": "begin"})),
        (
            "2026-11-01T00:00Z",
            "2026-11-02T00:00Z",
            context(conf={"since": "2026-11-01T00:00Z", "until": "2026-11-02T00:00Z"}),
        ),
    ],
)
def test_the_window_of_a_run(settings_of: Settings, since: str | None, until: str, given: dict[str, Any]) -> None:
    settings = settings_of(given=given)
    assert (settings["since"], settings["until"]) == (since, until)


@pytest.mark.parametrize(
    ("schedule", "since", "until"),
    [
        ("@daily", "2026-11-19T00:00:00+00:00", "2026-11-20T00:00:00+00:00"),
        (timedelta(minutes=30), "2026-11-20T13:55:00+00:00", "2026-11-20T14:25:00+00:00"),
        (DeltaDataIntervalTimetable(timedelta(hours=2)), "2026-11-20T12:25:00+00:00", "2026-11-20T14:25:00+00:00"),
        (None, "2026-11-19T14:25:00+00:00", "2026-11-20T14:25:00+00:00"),
        ("@once", "2026-11-19T14:25:00+00:00", "2026-11-20T14:25:00+00:00"),
    ],
    ids=["daily", "delta", "timetable", "none", "once"],
)
def test_a_run_without_interval_reads_the_last_finished_one(
    settings_of: Settings, schedule: Any, since: str, until: str
) -> None:
    settings = settings_of(given=context(interval=False), schedule=schedule)
    assert (settings["since"], settings["until"]) == (since, until)


def test_a_dag_without_a_variable_reads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_META_CONVERSATIONS", '{"pages": ["666"]}')
    settings = run_settings(meta_conversations_dag(**ARGUMENTS), context())
    assert {name: settings[name] for name in ("pages", "destination", "database")} == {
        "pages": "all",
        "destination": "/data/meta",
        "database": "/data/meta.duckdb",
    }


def test_a_variable_alone_configures_a_scheduled_run(settings_of: Settings) -> None:
    settings = settings_of()
    assert settings == {
        **VARIABLE,
        "platforms": ["MESSENGER", "INSTAGRAM"],
        "folders": ["inbox", "page_done", "spam", "other"],
        "file_format": "ndjson",
        "lookback_minutes": 10,
        "retention_days": None,
        "on_incomplete": None,
        "dataset": None,
        "project_id": None,
        "location": None,
        "extra_fields": [],
        "privacy": "full",
        "privacy_conn_id": None,
        "create_views": True,
        "view_options": ViewOptions().as_dict(),
        "meta_conn_id": "meta_graph_default",
        "gcp_conn_id": "google_cloud_default",
        "allowed_destinations": None,
        "allowed_databases": None,
        "allowed_datasets": None,
        "since": "2026-11-20T12:00:00+00:00",
        "until": "2026-11-20T13:00:00+00:00",
    }


def test_params_override_the_variable_and_the_variable_the_arguments(settings_of: Settings) -> None:
    settings = settings_of({"pages": ["1"]}, {"destination": "/data/run"}, **ARGUMENTS)
    assert {name: settings[name] for name in ("pages", "destination", "database")} == {
        "pages": ["1"],
        "destination": "/data/run",
        "database": "/data/meta.duckdb",
    }


def test_a_run_can_override_settings_with_params(settings_of: Settings) -> None:
    conf = {"pages": ["101"], "platforms": ["instagram"], "destination": "/data/run", "database": "/data/run.duckdb"}
    settings = settings_of(VARIABLE, conf)
    assert {name: settings[name] for name in conf} == {**conf, "platforms": ["INSTAGRAM"]}


@pytest.mark.parametrize("conf", ({name: value} for name, value in UNDECLARED.items()), ids=UNDECLARED)
def test_a_run_can_set_only_declared_params(settings_of: Settings, conf: dict[str, Any]) -> None:
    [name] = conf
    with pytest.raises(
        AirflowFailException, match=f"Unknown setting '{name}' in the run's params.* The settings are database, "
    ):
        settings_of(VARIABLE, conf)


@pytest.mark.parametrize(
    ("warehouse", "place", "other"), [("duckdb", "database", "dataset"), ("bigquery", "dataset", "database")]
)
def test_a_run_cannot_choose_another_warehouse(settings_of: Settings, warehouse: str, place: str, other: str) -> None:
    stored = {"pages": "all", "destination": "/data/meta", place: "/data/x"}
    with pytest.raises(AirflowFailException, match=f"Unknown setting '{other}' in the run's params"):
        settings_of(stored, {other: "/data/y"}, warehouse=warehouse)
    assert settings_of(stored, {place: "/data/y"}, warehouse=warehouse)[place] == "/data/y"


def test_a_variable_cannot_choose_another_warehouse(settings_of: Settings) -> None:
    with pytest.raises(
        AirflowFailException, match=r"^dataset in the Variable conversations does not apply to this DAG"
    ):
        settings_of({"pages": "all", "destination": "/data/meta", "dataset": "meta"})


def test_the_params_are_settings_and_the_window() -> None:
    params = set(meta_conversations_dag(**ARGUMENTS).params)
    assert params == set(DECLARED)
    assert params - set(SETTINGS) == {"since", "until"}


@pytest.mark.parametrize("value", ["", []])
@pytest.mark.parametrize("name", ["pages", "since", "until", "destination"])
def test_an_empty_param_does_not_select_everything(settings_of: Settings, name: str, value: Any) -> None:
    with pytest.raises(
        AirflowFailException, match=f"{name} in the run's params must not be empty: set a value, or leave it"
    ):
        settings_of(VARIABLE, {name: value})


def test_params_dropped_by_airflow_fail_the_run(settings_of: Settings) -> None:
    given = context(conf={"pages": ["100"]})
    given["params"]["pages"] = None
    with pytest.raises(AirflowFailException, match="enable dag_run_conf_overrides_params"):
        settings_of(given=given)


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({"since": "0001-01-01T00:00:00+05:00"}, "since must be within the years 1 to 9999 in UTC"),
        ({"since": "yesterday"}, "since must be an ISO 8601 time"),
        ({"since": "2026-11-20T00:00:00"}, "since has no time zone"),
        ({"since": "2026-11-20T13:30:00Z"}, "must be before until"),
    ],
)
def test_an_invalid_window_fails_first(settings_of: Settings, conf: dict[str, Any], expected: str) -> None:
    with pytest.raises(AirflowFailException, match=expected) as caught:
        settings_of(VARIABLE, conf)
    assert "\n" not in str(caught.value)


def test_a_page_id_from_meta_must_contain_only_digits(settings_of: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"id": "{{ conn.other.password }}", "name": "P", "access_token": "token", "tasks": ["MESSAGING"]}
    paths: list[str] = []

    def respond(path: str, parameters: Any, *, parse: Any) -> Any:
        paths.append(path)
        return parse({"data": [page]})

    monkeypatch.setattr(MetaGraphHook, "get_conn", lambda self: SimpleNamespace(get=respond))
    with pytest.raises(UnexpectedResponseError):
        pages_and_platforms(settings_of({**VARIABLE, "pages": "all"}))
    assert paths == ["me/accounts"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"pages": ["100"], "destination": "/data/meta", "database": "/data/meta.duckdb"', "is not valid JSON"),
        ('{"page": ["100"]}', "Unknown setting 'page' in the Variable conversations, did you mean pages"),
        ("{}", "pages is not set: add it to the Variable conversations"),
    ],
)
def test_an_invalid_variable_fails_the_run(settings_of: Settings, text: str, expected: str) -> None:
    with pytest.raises(AirflowFailException, match=expected) as caught:
        settings_of(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [None, PermissionError("no")])
@pytest.mark.parametrize("arguments", [{}, ARGUMENTS], ids=["variable", "arguments_and_variable"])
def test_a_failing_secrets_backend_fails_the_run(
    settings_of: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception | None, arguments: dict[str, Any]
) -> None:
    def get(name: str, default: Any) -> Any:
        # Airflow reports a failing backend only in its log, and continues as if there were no Variable.
        if error is not None:
            raise error
        return default

    monkeypatch.setattr("airflow.sdk.Variable.get", get)
    with pytest.raises(AirflowFailException, match="The Variable conversations does not exist or could not be read"):
        settings_of(**arguments)


def test_missing_google_libraries_are_reported_with_advice() -> None:
    code = (
        "import sys\n"
        "from airflow_provider_metaconv.dag_warehouses import WAREHOUSES, warehouse_of\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith(('google', 'airflow.providers.google')):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "for name in [name for name in sys.modules if name.split('.')[0] == 'google']: del sys.modules[name]\n"
        "settings = {'dataset': 'example', 'gcp_conn_id': 'x', 'project_id': None, 'location': None}\n"
        "try: warehouse_of(WAREHOUSES['bigquery'], settings)().__enter__()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = "Google's provider is not installed: pip install 'airflow-provider-metaconv[google]'"
    assert done.stdout.splitlines()[-1] == expected


@pytest.mark.parametrize("name", ["meta_conversations", "meta_erasure", "meta_token_expiry"])
def test_the_sample_dags_match_the_packages_examples(name: str) -> None:
    example = REPOSITORY / "airflow_provider_metaconv" / "example_dags" / f"{name}.py"
    assert (REPOSITORY / "dags" / f"{name}.py").read_text("utf-8") == example.read_text("utf-8")
