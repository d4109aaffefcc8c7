"""What all tests share: no pytest run may reach anything but this machine."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes depends on the machine, and is nothing that a test promises.
settings.register_profile("metaconv", deadline=None)
settings.load_profile("metaconv")

pytest_plugins = ["tests.google_fixtures"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to any other machine fail at once, so that no test depends on or disturbs one."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise OSError(f"tests may not connect to {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
