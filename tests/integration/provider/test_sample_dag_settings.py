"""The sample DAG's own decisions: its settings, and the window of each kind of run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_metaconv.dag_settings import SettingsError
from airflow_provider_metaconv.graph.errors import UnexpectedResponseError
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook

REPOSITORY = Path(__file__).parents[3]
HOUR = datetime(2026, 11, 20, 12, tzinfo=UTC)
SAID = {"pages": ["100"], "destination": "/data/meta", "database": "/data/meta.duckdb"}
UNDECLARED = {
    "meta_conn_id": "other",
    "gcp_conn_id": "other",
    "folders": ["inbox"],
    "page": ["100"],
    "project_id": "example-project",
    "lookback_minutes": 0,
    "allowed_destinations": ["/"],
    "anything": None,
}


@pytest.fixture(scope="module")
def sample() -> Iterator[ModuleType]:
    sys.path.insert(0, str(REPOSITORY / "dags"))
    import meta_conversations

    yield meta_conversations
    sys.path.remove(str(REPOSITORY / "dags"))


def context(interval: bool = True, conf: dict[str, Any] | None = None) -> dict[str, Any]:
    run = SimpleNamespace(
        start_date=HOUR.replace(hour=14),
        data_interval_start=HOUR if interval else None,
        data_interval_end=HOUR.replace(hour=13) if interval else None,
        conf=conf,
    )
    declared = dict.fromkeys(("pages", "platforms", "since", "until", "destination", "dataset", "database"))
    # As Airflow makes it: what the run was given stands beside what is declared.
    return {"params": {**declared, "file_format": None, **(conf or {})}, "dag_run": run}


def chosen(sample: ModuleType, conf: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    settings: dict[str, Any] = sample.chosen_settings(json.dumps({**SAID, **more}), context(conf=conf))
    return settings


@pytest.mark.parametrize(
    ("since", "until", "given"),
    [
        ("2026-11-20T12:00:00+00:00", "2026-11-20T13:00:00+00:00", context()),
        ("2026-11-19T14:00:00+00:00", "2026-11-20T14:00:00+00:00", context(interval=False)),
        (None, "2026-11-20T13:00:00+00:00", context(conf={"since": "begin"})),
        (
            "2026-11-01T00:00Z",
            "2026-11-02T00:00Z",
            context(conf={"since": "2026-11-01T00:00Z", "until": "2026-11-02T00:00Z"}),
        ),
    ],
)
def test_the_window_of_a_run(sample: ModuleType, since: str | None, until: str, given: dict[str, Any]) -> None:
    settings = sample.chosen_settings(json.dumps(SAID), given)
    assert (since, until) == (settings["since"], settings["until"])


def test_gaps_before_scheduled_runs_are_filled_by_the_extract_tasks(sample: ModuleType) -> None:
    extract = sample.meta_conversations().get_task("extract")
    assert extract.partial_kwargs["fill_gaps"] is True


def test_a_backfill_which_would_run_beside_the_schedule_is_refused(sample: ModuleType) -> None:
    dag = sample.meta_conversations()
    assert 1 == dag.max_active_runs
    if hasattr(dag, "allowed_run_types"):  # from Airflow 3.2 on
        assert "backfill" not in {getattr(kind, "value", kind) for kind in dag.allowed_run_types}


def test_the_variable_alone_is_enough_for_a_scheduled_run(sample: ModuleType) -> None:
    settings = chosen(sample)
    assert {**sample.DEFAULTS, **SAID} == {key: settings[key] for key in sample.DEFAULTS}


def test_a_run_chooses_by_its_params(sample: ModuleType) -> None:
    conf = {"pages": ["101"], "platforms": ["instagram"], "destination": "gs://example-bucket/meta", "dataset": "meta"}
    expected = {"pages": ["101"], "platforms": ["INSTAGRAM"], "destination": "gs://example-bucket/meta"}
    settings = chosen(sample, conf)
    assert {**expected, "dataset": "meta", "database": None} == {
        key: settings[key] for key in (*expected, "dataset", "database")
    }


@pytest.mark.parametrize("conf", ({name: value} for name, value in UNDECLARED.items()), ids=UNDECLARED)
def test_a_run_can_set_nothing_but_the_declared_params(sample: ModuleType, conf: dict[str, Any]) -> None:
    [name] = conf
    with pytest.raises(
        SettingsError, match=f"There is no setting '{name}' for the run's params.* There are database, "
    ):
        chosen(sample, conf)


def test_the_params_of_a_run_are_all_settings_but_the_window(sample: ModuleType) -> None:
    assert {"since", "until"} == set(sample.PARAMS) - set(sample.DEFAULTS)
    assert set(sample.PARAMS) == set(sample.meta_conversations().params)


@pytest.mark.parametrize("value", ["", []])
def test_a_param_that_came_out_empty_does_not_mean_everything(sample: ModuleType, value: Any) -> None:
    for name in ("pages", "since", "until", "destination"):
        with pytest.raises(SettingsError, match=f"{name} in the run's params is empty: say a value, or leave it out"):
            chosen(sample, {name: value})


def test_params_that_airflow_drops_are_no_run_over_everything(sample: ModuleType) -> None:
    given = context(conf={"pages": ["100"]})
    given["params"]["pages"] = None
    with pytest.raises(SettingsError, match="switch on dag_run_conf_overrides_params"):
        sample.chosen_settings(json.dumps(SAID), given)


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ({"since": "0001-01-01T00:00:00+05:00"}, "since is beyond the years 1 to 9999 in UTC"),
        ({"since": "yesterday"}, "since is no time"),
        ({"since": "2026-11-20T00:00:00"}, "since has no time zone"),
        ({"since": "2026-11-20T13:30:00Z"}, "is not before until"),
    ],
)
def test_a_window_that_is_none_fails_before_anything_else(sample: ModuleType, conf: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        chosen(sample, conf)
    assert "\n" not in str(caught.value)


def test_a_page_id_from_meta_is_digits_where_it_enters(sample: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"id": "{{ conn.other.password }}", "name": "P", "access_token": "token", "tasks": ["MESSAGING"]}
    asked: list[str] = []

    def answer(path: str, parameters: Any, *, parse: Any) -> Any:
        asked.append(path)
        return parse({"data": [page]})

    monkeypatch.setattr(MetaGraphHook, "get_conn", lambda self: SimpleNamespace(get=answer))
    with pytest.raises(UnexpectedResponseError):
        sample.pages_and_platforms(chosen(sample, pages="all"))
    assert ["me/accounts"] == asked


@pytest.fixture
def settings_task(sample: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the task settings does, in a scheduled run."""
    monkeypatch.setattr(sample, "get_current_context", context)
    return sample.meta_conversations().get_task("settings").python_callable


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"pages": ["100"], "destination": "/data/meta", "database": "/data/meta.duckdb"', "is not JSON"),
        ('{"page": ["100"]}', "There is no setting 'page' for the Variable meta_conversations, did you mean pages"),
        ("{}", "Nobody says pages: set it in the Variable meta_conversations"),
    ],
)
def test_a_variable_that_airflow_cannot_read_is_no_run_over_everything(
    settings_task: Any, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_META_CONVERSATIONS", text)
    with pytest.raises(AirflowFailException, match=says) as caught:
        settings_task()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("trouble", [None, PermissionError("no")])
def test_a_secrets_backend_that_fails_is_no_run_over_everything(
    settings_task: Any, monkeypatch: pytest.MonkeyPatch, trouble: Exception | None
) -> None:
    def get(name: str, default: Any) -> Any:
        # Airflow tells of a backend that fails in its log alone, and goes on as if there were no Variable.
        if trouble is not None:
            raise trouble
        return default

    monkeypatch.setattr("airflow.sdk.Variable.get", get)
    with pytest.raises(AirflowFailException, match="There is no Variable meta_conversations, or it could not be read"):
        settings_task()


def test_a_dataset_without_googles_libraries_says_how_to_install_them() -> None:
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(REPOSITORY / 'dags')!r})\n"
        "import meta_conversations as sample\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith(('google', 'airflow.providers.google')):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "for name in [name for name in sys.modules if name.split('.')[0] == 'google']: del sys.modules[name]\n"
        "settings = {'dataset': 'example', 'gcp_conn_id': 'x', 'project_id': None, 'location': None}\n"
        "try: sample.opened_warehouse(settings)\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = "Google's provider is not installed: pip install 'airflow-provider-metaconv[google]'"
    assert expected == done.stdout.splitlines()[-1]
