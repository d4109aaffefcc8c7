"""The virtual environments of the peers, made the first time they are needed, from requirement files with pins."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.pythons import find_python, find_uv

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parents[2]
PYTHON = "3.11"
"""One Python for all peers, that of the pins: what is compared is the libraries."""

INSTALL_TIMEOUT_SECONDS = 900.0


class EnvironmentFailed(RuntimeError):  # noqa: N818 - it names what happened
    """An environment could not be made; the message has the end of what the failing command said."""


@dataclass(frozen=True)
class PeerEnvironment:
    """One peer's environment, named as its requirement file."""

    name: str

    @property
    def folder(self) -> Path:
        return REPOSITORY / f".venv-peer-{self.name.replace('_', '-')}"

    @property
    def requirements(self) -> Path:
        return FOLDER / "requirements" / f"{self.name}.txt"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def _stamp(self) -> Path:
        return self.folder / "made-from"

    @property
    def _recipe(self) -> str:
        return hashlib.sha256(self.requirements.read_bytes()).hexdigest()

    @property
    def is_ready(self) -> bool:
        """Whether it is there, complete, and made from the requirements as they are now."""
        return self._stamp.exists() and self._stamp.read_text() == self._recipe and self.python.exists()

    def ensure(self) -> Path:
        """Return its Python, made first unless it is there; raises PythonMissing or EnvironmentFailed."""
        with _alone():
            if not self.is_ready:
                print(f"Making {self.folder.name}, once", flush=True)
                self._make()
        return self.python

    def _make(self) -> None:
        base = find_python(PYTHON)
        # Without the stamp, which is written last, it is half made or outdated.
        shutil.rmtree(self.folder, ignore_errors=True)
        uv = find_uv()
        if uv is not None:
            _run([uv, "venv", "--quiet", "--no-project", "--python", base, self.folder])
            install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", self.python, "--compile-bytecode"]
        else:
            _run([base, "-m", "venv", self.folder])
            install = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*install, "--no-deps", "--requirement", self.requirements])
        self._stamp.write_text(self._recipe)


def _run(command: list[str | Path]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailed(f"{' '.join(map(str, command))}: {error}") from error
    if done.returncode != 0:
        raise EnvironmentFailed(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stderr[-2000:]}")


@contextmanager
def _alone() -> Iterator[None]:
    """Only one process at a time makes environments; the lock is on this folder, so no file has to be kept."""
    descriptor = os.open(FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
