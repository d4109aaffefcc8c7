"""What the load operators add to a load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_metaconv.operators.load import (
    MetaConversationsToBigQueryOperator,
    MetaConversationsToDuckDBOperator,
)
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.integration.load.test_belonging import publish_again, window
from tests.integration.provider.test_extract_operator import TaskInstance


class RepublishedDuringLoad(DuckDBWarehouse):
    """A warehouse whose files are published again under other names just before the first load."""

    folder: Path
    is_late = True

    def load(self, files: Any) -> Any:
        if type(self).is_late:
            type(self).is_late = False
            publish_again(self.folder)
        return super().load(files)


def test_a_duckdb_load_rereads_a_republished_window_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = window(tmp_path / "w")
    monkeypatch.setattr(RepublishedDuringLoad, "folder", tmp_path / "w", raising=False)
    monkeypatch.setattr(RepublishedDuringLoad, "is_late", True)
    monkeypatch.setattr("airflow_provider_metaconv.warehouse.duckdb.DuckDBWarehouse", RepublishedDuringLoad)
    task = MetaConversationsToDuckDBOperator(task_id="load", manifests=uri, database=str(tmp_path / "meta.duckdb"))
    counts = task.execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
    assert counts["messages"]["inserted"] == 2


def test_a_task_deferred_by_an_earlier_release_resumes() -> None:
    """Airflow stores the name of the method with the deferred task."""
    assert MetaConversationsToBigQueryOperator.resume is MetaConversationsToBigQueryOperator.execute_complete


def test_a_load_creates_views_with_its_options(tmp_path: Path) -> None:
    database = str(tmp_path / "meta.duckdb")
    options: dict[str, Any] = {"create_views": True, "view_options": {"session_gap_minutes": 7}}
    task = MetaConversationsToDuckDBOperator(
        task_id="load", manifests=window(tmp_path / "w"), database=database, **options
    )
    task.execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
    with duckdb.connect(database) as connection:
        [(sql,)] = connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = 'sessions'").fetchall()
    assert str(7 * 60 * 1_000_000) in sql


def test_invalid_view_options_fail_the_task_before_anything_is_written(tmp_path: Path) -> None:
    database = tmp_path / "meta.duckdb"
    options: dict[str, Any] = {"create_views": True, "view_options": {"time_zone": "Mars"}}
    task = MetaConversationsToDuckDBOperator(
        task_id="load", manifests=window(tmp_path / "w"), database=str(database), **options
    )
    with pytest.raises(AirflowFailException) as caught:
        task.execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
    assert str(caught.value) == "time_zone must be an IANA name, such as Europe/Berlin"
    assert not database.exists()
