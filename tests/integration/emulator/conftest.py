from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, World, WorldSettings, uniform_world


@pytest.fixture(scope="session")
def varied() -> Iterator[EmulatorServer]:
    """A generated world with every odd case, for tests that only read."""
    with EmulatorServer(World.generate(WorldSettings(pages=2, messages=3_000))) as server:
        yield server


@pytest.fixture
def small() -> Iterator[EmulatorServer]:
    """A Page with 30 threads of 3 messages, for tests that change something."""
    with EmulatorServer(uniform_world(threads=30, messages_per_thread=3)) as server:
        yield server
