"""Shared by all tests: none may connect to another machine."""

from __future__ import annotations

import re
import socket
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.thoroughness import IS_THOROUGH

# How long an example takes depends on the machine; no test makes promises about it.
settings.register_profile("metaconv", deadline=None, max_examples=500 if IS_THOROUGH else 50)
settings.load_profile("metaconv")

pytest_plugins = ["tests.airflow_database", "tests.google_fixtures"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")


IS_GOOGLE_INSTALLED = find_spec("google") is not None and find_spec("google.api_core") is not None
NEEDS_GOOGLE = re.compile(r"^(?:(?:from|import) google|.*bigquery_dataset import|pytest\.importorskip.*google)", re.M)
SLOW_FIRST = ("tests/simulation", "tests/e2e", "tests/integration", "tests/repository")
GOOGLE_SERVERS = {"storage_server", "bigquery_server"}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Without the extra google, files that import its libraries are skipped: ``make test-google`` installs them."""
    if IS_GOOGLE_INSTALLED or collection_path.suffix != ".py" or collection_path.name == "conftest.py":
        return None
    return True if _needs_google(collection_path) else None


@cache
def _needs_google(path: Path) -> bool:
    return bool(NEEDS_GOOGLE.search(path.read_text("utf-8")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that use Google's local servers, even indirectly.

    Slow files come first, so that of two processes neither waits for the other's last file.
    """
    items.sort(key=_place)
    for item in items:
        if GOOGLE_SERVERS & set(getattr(item, "fixturenames", ())) or _needs_google(item.path):
            item.add_marker(pytest.mark.google)
            if item.get_closest_marker("timeout") is None:
                # The two local servers are slow and share the machine.
                item.add_marker(pytest.mark.timeout(400))


def _place(item: pytest.Item) -> int:
    path = item.path.relative_to(item.config.rootpath).as_posix()
    return next((number for number, folder in enumerate(SLOW_FIRST) if path.startswith(folder)), len(SLOW_FIRST))


class _ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Distributes files; those whose tests share an Airflow run in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "shared_airflow" if _shares_airflow(self.config.rootpath / file) else file


@cache
def _shares_airflow(path: Path) -> bool:
    return "shared_airflow: Airflow" in path.read_text("utf-8")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Replaces ``--dist=loadfile``."""
    return _ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to other machines fail at once, so that no test depends on one or disturbs it."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise OSError(f"tests may not connect to {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
