"""The virtual environments of the competitors, one per requirements file."""

from __future__ import annotations

from pathlib import Path

from local_servers.pinned_environment import REPOSITORY, PinnedEnvironment
from local_servers.pythons import find_python

FOLDER = Path(__file__).parent
PYTHON = "3.11"
"""The pins are for this Python. All competitors use the same one, so that only the libraries are compared."""


def peer_environment(name: str) -> PinnedEnvironment:
    """A competitor's environment, named after its requirements file."""
    folder = REPOSITORY / f".venv-peer-{name.replace('_', '-')}"
    return PinnedEnvironment(folder, FOLDER / "requirements" / f"{name}.txt", lambda: find_python(PYTHON))
