"""A separate Airflow home for these tests, set before Airflow is first imported."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_metaconv.emulator import EmulatorServer

HOME = tempfile.mkdtemp(prefix="metaconv-airflow-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ |= {
    "AIRFLOW_HOME": HOME,
    "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": HOME,
}


@pytest.fixture
def server(running: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    """The module's emulator ``running`` as the default connection, without faults of earlier tests."""
    connection = {
        "conn_type": "meta_graph",
        "host": running.url,
        "password": running.user_token,
        "extra": {"calls_per_second": 1000},
    }
    monkeypatch.setenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", json.dumps(connection))
    yield running
    running.clear_faults()
