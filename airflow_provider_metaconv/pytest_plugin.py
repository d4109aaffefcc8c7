"""The pytest fixture ``meta_graph``: a local Graph API for tests of your own DAGs; requires the extra ``emulator``.

pytest loads this module as a plugin. It imports the emulator only when a test requests the fixture.
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
    """The emulator's faults."""

    _server: EmulatorServer

    def add(self, name: str, **options: Any) -> None:
        """Add a fault by its name or Meta's code, such as ``add("80006", page_id="100", times=1)``.

        Raises ``ValueError`` or ``TypeError`` for an unknown fault or option.
        """
        from airflow_provider_metaconv.emulator import Fault

        self._server.add_fault(Fault(name, **options))

    def clear(self) -> None:
        """Remove all faults and the blocks they caused."""
        self._server.clear_faults()


@dataclass(frozen=True, slots=True)
class MetaGraph:
    """A running emulator with its tokens and faults; Airflow's connection ``meta_graph_default`` points to it."""

    server: EmulatorServer

    @property
    def url(self) -> str:
        """The emulator's URL, reachable from this machine only."""
        return self.server.url

    @property
    def faults(self) -> Faults:
        """The faults to inject."""
        return Faults(self.server)

    @property
    def user_token(self) -> str:
        """A user token, which can fetch every Page's token."""
        return self.server.user_token

    def page_token(self, page_id: str = "100") -> str:
        """Return the token of a Page."""
        return self.server.page_token(page_id)

    def ground_truth(self, page_id: str = "100", platform: str = "MESSENGER", **window: Any) -> Any:
        """Return what a complete extraction must find: ``message_ids`` and more."""
        return self.server.ground_truth(page_id, platform, **window)

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection as a dict; it allows 1,000 calls a second, so that tests never wait."""
        return {
            "conn_type": "meta_graph",
            "host": self.url,
            "password": self.user_token,
            "extra": {"calls_per_second": 1000},
        }


@pytest.fixture
def meta_graph_world() -> World:
    """Two Pages with 200 messages; override this fixture to use another world."""
    from airflow_provider_metaconv.emulator import World, WorldSettings

    return World.generate(WorldSettings(pages=2, messages=200))


@pytest.fixture
def meta_graph(meta_graph_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[MetaGraph]:
    """A local Graph API for the duration of a test; the connection ``meta_graph_default`` points to it."""
    from airflow_provider_metaconv.emulator import EmulatorServer

    with EmulatorServer(meta_graph_world) as server:
        graph = MetaGraph(server)
        monkeypatch.setenv(CONNECTION, json.dumps(graph.connection))
        yield graph
