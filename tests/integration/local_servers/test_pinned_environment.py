"""An environment is created once, completely, and again when its pins change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from local_servers import pinned_environment
from local_servers.pinned_environment import EnvironmentFailed, PinnedEnvironment


def fake_environment(folder: Path, after_install: str = "") -> PinnedEnvironment:
    """An environment that installs nothing."""
    (folder / "requirements.txt").write_text("# nothing\n")
    return PinnedEnvironment(folder / "made", folder / "requirements.txt", lambda: Path(sys.executable), after_install)


def test_an_environment_is_rebuilt_when_its_requirements_change(tmp_path: Path) -> None:
    messages: list[str] = []
    environment = fake_environment(tmp_path)
    environment.ensure(messages.append)
    environment.ensure(messages.append)
    assert len(messages) == 1
    assert environment.python.exists()
    environment.requirements.write_text("# other\n")
    assert not environment.is_ready
    environment.ensure(messages.append)
    assert len(messages) == 2


def test_an_incomplete_environment_is_rebuilt(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed, match="exit status 1"):
        fake_environment(tmp_path, "tests.no_such_module").ensure()
    rest = tmp_path / "made" / "rest"
    rest.touch()
    assert not fake_environment(tmp_path).is_ready
    fake_environment(tmp_path).ensure()
    assert not rest.exists()


def test_pip_is_used_without_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned_environment, "find_uv", lambda: None)
    environment = fake_environment(tmp_path)
    environment.ensure()
    assert environment.is_ready
