"""What the load operators add to a load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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
