"""The fixture ``meta_graph`` in users' tests: pytest finds it, and it ends with the test."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
PLUGIN = "airflow_provider_metaconv.pytest_plugin"
USERS_TESTS = """
import os

import requests

from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook

URLS = []


def test_the_connection_points_to_it(meta_graph):
    URLS.append(meta_graph.url)
    assert [page["page_id"] for page in MetaGraphHook().list_pages()] == ["100", "101"]


def test_faults_are_those_of_the_emulator(meta_graph):
    meta_graph.faults.add("190")
    url, token = f"{meta_graph.url}/v26.0/me", meta_graph.page_token("100")
    assert requests.get(url, {"access_token": token}).json()["error"]["code"] == 190
    meta_graph.faults.clear()
    assert requests.get(url, {"access_token": token}).json()["id"] == "100"
    assert meta_graph.ground_truth().message_ids


def test_it_leaves_nothing_behind():
    assert "AIRFLOW_CONN_META_GRAPH_DEFAULT" not in os.environ
    try:
        requests.get(URLS[0], timeout=1)
    except requests.ConnectionError:
        return
    raise AssertionError("the emulator is still running")
"""
USERS_WORLD = """
import pytest

from airflow_provider_metaconv.emulator import World, WorldSettings


@pytest.fixture
def meta_graph_world():
    return World.generate(WorldSettings(pages=1, messages=10))


def test_the_world_can_be_overridden(meta_graph):
    assert list(meta_graph.server.world.pages) == ["100"]
"""
# pytest loads the plugin in every run, so it must import next to nothing.
IMPORTED = f"import sys, {PLUGIN}; print(sorted(n for n in sys.modules if n.startswith('airflow_provider_metaconv')))"


def run(folder: Path, text: str) -> str:
    (folder / "test_users.py").write_text(text)
    is_installed = any(entry.value == PLUGIN for entry in entry_points(group="pytest11"))
    # An installation without the entry point does not load the plugin by itself.
    plugin = [] if is_installed else ["-p", PLUGIN]
    command = [sys.executable, "-m", "pytest", "-q", *plugin, "--rootdir", str(folder), str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_a_users_tests_pass(tmp_path: Path) -> None:
    assert "3 passed" in run(tmp_path, USERS_TESTS)


def test_a_user_can_override_the_world(tmp_path: Path) -> None:
    assert "1 passed" in run(tmp_path, USERS_WORLD)


def test_the_plugin_does_not_import_the_emulator() -> None:
    command = [sys.executable, "-c", IMPORTED]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(["airflow_provider_metaconv", PLUGIN])
