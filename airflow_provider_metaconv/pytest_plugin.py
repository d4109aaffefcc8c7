"""The pytest fixture ``meta_graph``: a local Graph API for tests of your own DAGs; needs the extra ``emulator``.

pytest finds this module by itself. It imports nothing of the emulator before a test asks for the fixture.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_metaconv.emulator import EmulatorServer, World

CONNECTION = "AIRFLOW_CONN_META_GRAPH_DEFAULT"


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults that are still to come."""

    _server: EmulatorServer

    def add(self, name: str, **options: Any) -> None:
        """Adds a fault by its name or Meta's code, such as ``add("80006", page_id="100", times=1)``.

        Raises ``ValueError`` or ``TypeError`` for a fault or an option that does not exist.
        """
        from airflow_provider_metaconv.emulator import Fault

        self._server.add_fault(Fault(name, **options))

    def clear(self) -> None:
        """Removes all faults, and ends what they caused."""
        self._server.clear_faults()


@dataclass(frozen=True, slots=True)
class MetaGraph:
    """A running emulator, its tokens and faults; Airflow's connection ``meta_graph_default`` leads to it."""

    server: EmulatorServer

    @property
    def url(self) -> str:
        """The address that it answers on, on this machine alone."""
        return self.server.url

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return Faults(self.server)

    @property
    def user_token(self) -> str:
        """A token that can read every Page."""
        return self.server.user_token

    def page_token(self, page_id: str = "100") -> str:
        """The token of one Page."""
        return self.server.page_token(page_id)

    def ground_truth(self, page_id: str = "100", platform: str = "MESSENGER", **window: Any) -> Any:
        """What a complete extraction has to find: ``message_ids`` and more."""
        return self.server.ground_truth(page_id, platform, **window)

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection, as a dict; a thousand calls a second, so that no test waits for its pace."""
        return {
            "conn_type": "meta_graph",
            "host": self.url,
            "password": self.user_token,
            "extra": {"calls_per_second": 1000},
        }


@pytest.fixture
def meta_graph_world() -> World:
    """Two Pages with 200 messages; define a fixture of this name to have another world."""
    from airflow_provider_metaconv.emulator import World, WorldSettings

    return World.generate(WorldSettings(pages=2, messages=200))


@pytest.fixture
def meta_graph(meta_graph_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[MetaGraph]:
    """A local Graph API that the connection ``meta_graph_default`` leads to, until the test ends."""
    from airflow_provider_metaconv.emulator import EmulatorServer

    with EmulatorServer(meta_graph_world) as server:
        graph = MetaGraph(server)
        monkeypatch.setenv(CONNECTION, json.dumps(graph.connection))
        yield graph
