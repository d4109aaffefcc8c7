"""Environments are made once, whole, and again when their pins change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from local_servers import pinned_environment
from local_servers.pinned_environment import EnvironmentFailed, PinnedEnvironment


def fake_environment(folder: Path, after_install: str = "") -> PinnedEnvironment:
    """An environment that needs nothing from anywhere."""
    (folder / "requirements.txt").write_text("# nothing\n")
    return PinnedEnvironment(folder / "made", folder / "requirements.txt", lambda: Path(sys.executable), after_install)


def test_an_environment_is_made_once_and_again_when_its_requirements_change(tmp_path: Path) -> None:
    said: list[str] = []
    environment = fake_environment(tmp_path)
    environment.ensure(said.append)
    environment.ensure(said.append)
    assert len(said) == 1
    assert environment.python.exists()
    environment.requirements.write_text("# other\n")
    assert not environment.is_ready
    environment.ensure(said.append)
    assert len(said) == 2


def test_a_half_made_environment_is_made_again(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed, match="exit status 1"):
        fake_environment(tmp_path, "tests.no_such_module").ensure()
    rest = tmp_path / "made" / "rest"
    rest.touch()
    assert not fake_environment(tmp_path).is_ready
    fake_environment(tmp_path).ensure()
    assert not rest.exists()


def test_without_uv_pip_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned_environment, "find_uv", lambda: None)
    environment = fake_environment(tmp_path)
    environment.ensure()
    assert environment.is_ready
