"""The virtual environments of the peers, one for each requirement file."""

from __future__ import annotations

from pathlib import Path

from local_servers.pinned_environment import REPOSITORY, PinnedEnvironment
from local_servers.pythons import find_python

FOLDER = Path(__file__).parent
PYTHON = "3.11"
"""One Python for all peers, that of the pins: what is compared is the libraries."""


def peer_environment(name: str) -> PinnedEnvironment:
    """A peer's environment, named as its requirement file."""
    folder = REPOSITORY / f".venv-peer-{name.replace('_', '-')}"
    return PinnedEnvironment(folder, FOLDER / "requirements" / f"{name}.txt", lambda: find_python(PYTHON))
