"""The dbt example of the documentation builds on DuckDB, on the tables and views of a load: ``make test-dbt``."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from local_servers.pinned_environment import REPOSITORY
from tests.integration.warehouse.test_views_page import files
from tests.integration.warehouse.warehouse_contract import Files
from tools.dbt_sources import SOURCES, sources

DBT = REPOSITORY / ".venv-dbt" / "bin" / "dbt"


def test_the_dbt_sources_are_current() -> None:
    """After a change of columns or views: python -m tools.dbt_sources."""
    assert SOURCES.read_text("utf-8") == sources()


@pytest.mark.dbt
@pytest.mark.timeout(400)
def test_the_dbt_example_builds_and_its_tests_pass(tmp_path: Path) -> None:
    database = tmp_path / "meta.duckdb"
    with DuckDBWarehouse(database, views=ViewOptions()) as warehouse:
        warehouse.load(list(files(Files(tmp_path))))
    project = shutil.copytree(REPOSITORY / "docs" / "dbt", tmp_path / "dbt")
    variables = {"META_CONVERSATIONS_DUCKDB": str(database), "DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "0"}
    command: list[str | Path] = [DBT, "--no-use-colors", "build", "--profiles-dir", project, "--project-dir", project]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, "ERROR=0" in done.stdout, "WARN=0" in done.stdout) == (0, True, True), done.stdout
    with duckdb.connect(str(database)) as connection:
        found = connection.execute(
            "SELECT page_id, platform, turns, answered, is_complete FROM answers_by_day ORDER BY ALL"
        )
        assert found.fetchall() == [("100", "INSTAGRAM", 1, 1, False), ("100", "MESSENGER", 3, 2, True)]
