"""The sample DAG's own decisions: its settings, and the window of each kind of run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_metaconv.operators.arguments import window_place

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


@pytest.mark.parametrize(
    ("run_type", "expected"),
    [("scheduled", "2026-11-20T09:00:00+00:00"), ("backfill", None), ("manual", None)],
)
def test_a_scheduled_run_closes_the_gap_that_a_page_has_and_no_other_run_does(
    sample: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_type: str, expected: str | None
) -> None:
    since = "2026-11-20T12:00:00+00:00"
    covered = tmp_path / "platform=messenger" / "page_id=100" / "window=20261120T080000Z_20261120T090000Z"
    covered.mkdir(parents=True)
    (covered / "_manifest.json").write_text("{}")
    monkeypatch.setattr(sample, "get_current_context", lambda: context(run_type))
    settings = {**sample.DEFAULTS, "destination": str(tmp_path)}
    assert (expected or since) == sample.without_gap(since, settings, "100", "MESSENGER")
    # Another Page, or the same on the other platform, has a coverage of its own.
    assert since == sample.without_gap(since, settings, "101", "MESSENGER")
    assert since == sample.without_gap(since, settings, "100", "INSTAGRAM")


@pytest.mark.parametrize("folders", [["inbox"], ["spam"], ["inbox", "spam"]])
def test_a_gap_is_looked_for_where_the_files_of_these_folders_lie(
    sample: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: list[str]
) -> None:
    hours = [HOUR.replace(hour=hour) for hour in (8, 9)]
    place = tmp_path / window_place("MESSENGER", "100", *hours, folders)
    place.mkdir(parents=True)
    (place / "_manifest.json").write_text("{}")
    monkeypatch.setattr(sample, "get_current_context", lambda: context("scheduled"))
    settings = {**sample.DEFAULTS, "destination": str(tmp_path), "folders": folders}
    found = sample.without_gap("2026-11-20T12:00:00+00:00", settings, "100", "MESSENGER")
    assert "2026-11-20T09:00:00+00:00" == found


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
    ],
)
def test_wrong_settings_are_one_clear_line(sample: ModuleType, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(AirflowFailException, match=says):
        sample.checked({**sample.DEFAULTS, **wrong})
