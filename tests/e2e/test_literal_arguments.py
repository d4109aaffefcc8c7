"""Mapped arguments from outside are never rendered, in Airflow's own ``dag.test()``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, World, WorldSettings
from airflow_provider_metaconv.operators.extract import (
    MetaConversationsExtractOperator,
    MetaConversationsToGCSOperator,
    MetaConversationsToLocalFilesystemOperator,
    MetaConversationsToStorageOperator,
)
from tests.airflow_database import NewDatabase

DAGS = Path(__file__).parent / "scheduler_dags"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
SENT = ["{{ conn.meta_graph_default.password }}", "{# nothing #}"]
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import literals
run = literals.literals().test()
print("labels", sorted(each.rendered_map_index for each in run.get_task_instances() if each.task_id == "extract"))
print("ended", run.state)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=40, now=NOW))) as server:
        yield server


@pytest.mark.parametrize(
    "operator",
    [MetaConversationsToLocalFilesystemOperator, MetaConversationsToStorageOperator, MetaConversationsToGCSOperator],
)
def test_exactly_the_template_fields_are_marked_literal(operator: type[MetaConversationsExtractOperator]) -> None:
    arguments = {name: f"{{{{ {name} }}}}" for name in (*operator.template_fields, "lookback", "on_incomplete")}
    marked = operator.literal_arguments(arguments)
    assert {name for name, value in marked.items() if value != arguments[name]} == set(operator.template_fields)


def test_only_the_authors_templates_are_rendered(
    server: EmulatorServer, tmp_path: Path, new_airflow_database: NewDatabase
) -> None:
    new_airflow_database(tmp_path / "airflow")
    connection = {"conn_type": "meta_graph", "host": server.url, "password": server.user_token}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps(connection),
        "AIRFLOW_VAR_DESTINATION": str(tmp_path / "files"),
        "AIRFLOW_VAR_UNTIL": NOW.isoformat(),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(DAGS)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    printed = done.stdout + done.stderr
    assert "ended success" in done.stdout, printed[-3000:]
    assert "labels ['100 MESSENGER', '100 MESSENGER']" in done.stdout
    found = sorted(path.name for path in (tmp_path / "files").iterdir())
    assert found == sorted(SENT)
    assert len(list((tmp_path / "files").rglob("window=20261031T230000Z_20261101T000000Z/_manifest.json"))) == 2
    assert server.user_token not in printed
    assert [path for path in tmp_path.rglob("*") if server.user_token in str(path)] == []
