"""The sample DAG's own decisions: its settings, and the window of each kind of run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

REPOSITORY = Path(__file__).parents[2]
HOUR = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sample() -> Iterator[ModuleType]:
    sys.path.insert(0, str(REPOSITORY / "dags"))
    import meta_conversations

    yield meta_conversations
    sys.path.remove(str(REPOSITORY / "dags"))


def context(run_type: str = "scheduled", interval: bool = True, **params: Any) -> dict[str, Any]:
    run = SimpleNamespace(
        run_type=run_type,
        start_date=HOUR.replace(hour=14),
        data_interval_start=HOUR if interval else None,
        data_interval_end=HOUR.replace(hour=13) if interval else None,
    )
    return {"params": {"since": None, "until": None, "pages": [], "platforms": [], **params}, "dag_run": run}


@pytest.mark.parametrize(
    ("since", "until", "given"),
    [
        ("2026-11-20T12:00:00+00:00", "2026-11-20T13:00:00+00:00", context()),
        ("2026-11-19T14:00:00+00:00", "2026-11-20T14:00:00+00:00", context("manual", interval=False)),
        (None, "2026-11-20T13:00:00+00:00", context("manual", since="begin")),
        ("x", "y", context("manual", since="x", until="y")),
    ],
)
def test_the_window_of_a_run(sample: ModuleType, since: str | None, until: str, given: dict[str, Any]) -> None:
    assert (since, until) == sample.window(given)


def test_gaps_before_scheduled_runs_are_filled_by_the_extract_tasks(sample: ModuleType) -> None:
    extract = sample.meta_conversations().get_task("extract")
    assert extract.partial_kwargs["fill_gaps"] is True


def test_a_backfill_which_would_run_beside_the_schedule_is_refused(sample: ModuleType) -> None:
    dag = sample.meta_conversations()
    assert 1 == dag.max_active_runs
    if hasattr(dag, "allowed_run_types"):  # from Airflow 3.2 on
        assert "backfill" not in {getattr(kind, "value", kind) for kind in dag.allowed_run_types}


def test_settings_are_put_in_order(sample: ModuleType) -> None:
    given = {**sample.DEFAULTS, "platforms": ["messenger", "MESSENGER"], "pages": [100, "100", "101"]}
    settings = sample.checked(given)
    assert (["MESSENGER"], ["100", "101"]) == (settings["platforms"], settings["pages"])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"pages": "100"}, "pages .* is no list"),
        ({"page": ["100"]}, "unknown keys"),
        ({"destination": "gs://example-bucket/meta"}, "set dataset as well"),
        ({"on_incomplete": "ignore"}, "on_incomplete='ignore' is unknown: use null, warn or fail"),
        ({"lookback_minutes": -1}, "lookback_minutes=-1 must be a number of minutes, 0 or more"),
        ({"lookback_minutes": "10"}, "lookback_minutes='10' must be a number"),
        ({"lookback_minutes": True}, "lookback_minutes=True must be a number"),
    ],
)
def test_wrong_settings_are_one_clear_line(sample: ModuleType, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(AirflowFailException, match=says):
        sample.checked({**sample.DEFAULTS, **wrong})


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
