"""Virtual environments with pinned contents, created when they are first needed.

For packages that conflict with Airflow or must be isolated from it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_servers.pythons import find_uv

REPOSITORY = Path(__file__).parents[1]
INSTALL_TIMEOUT_SECONDS = 900.0


class EnvironmentFailed(RuntimeError):  # noqa: N818 - it names what happened
    """An environment could not be created; the message has the output of the command that failed."""


@dataclass(frozen=True)
class PinnedEnvironment:
    """One virtual environment: its folder, its pins, and the Python that creates it."""

    folder: Path
    requirements: Path
    find_python: Callable[[], Path]
    after_install: str = ""
    """A module to run in the environment after the installation."""

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def home(self) -> Path:
        """The home folder for programs in the environment, where libraries store downloads."""
        return self.folder / "home"

    @property
    def is_ready(self) -> bool:
        """Whether it exists, is complete, and was created from the current requirements."""
        try:
            return self._stamp.read_text() == self._recipe and self.python.exists()
        except OSError:
            return False

    def ensure(self, announce: Callable[[str], None] = lambda _: None) -> None:
        """Create it unless it is ready; raises PythonMissing or EnvironmentFailed."""
        if not self.is_ready:
            with _locked(self.requirements.parent):
                self._create_unless_ready(announce)

    def _create_unless_ready(self, announce: Callable[[str], None]) -> None:
        if not self.is_ready:  # another process may have created it while this one waited
            announce(f"Creating {self.folder.name}, once; this takes some seconds")
            self._create()

    def variables(self) -> dict[str, str]:
        """Return the environment variables for programs in the environment."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        }
        return {**inherited, "HOME": str(self.home)}

    @property
    def _stamp(self) -> Path:
        return self.folder / "made-from"

    @property
    def _recipe(self) -> str:
        return hashlib.sha256((self.requirements.read_text() + self.after_install).encode()).hexdigest()

    def _create(self) -> None:
        base = self.find_python()
        # Without the stamp, which is written last, it is incomplete or outdated.
        shutil.rmtree(self.folder, ignore_errors=True)
        uv = find_uv()
        if uv is not None:
            _run([uv, "venv", "--quiet", "--no-project", "--python", base, self.folder])
            install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", self.python]
        else:
            _run([base, "-m", "venv", self.folder])
            install = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*install, "--no-deps", "--requirement", self.requirements])
        self.home.mkdir()
        if self.after_install:
            _run([self.python, "-m", self.after_install], {"HOME": str(self.home), "PYTHONPATH": str(REPOSITORY)})
        self._stamp.write_text(self._recipe)


def _run(
    command: list[str | Path], variables: dict[str, str] | None = None, timeout: float = INSTALL_TIMEOUT_SECONDS
) -> str:
    environment = {**os.environ, **(variables or {})}
    # Python keeps the bytecode of what it imports: without it each start takes twice as long.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    shown = " ".join(map(str, command))
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailed(f"{shown}: {error}") from error
    if done.returncode != 0:
        raise EnvironmentFailed(f"{shown}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time create environments. The lock is on the pins' folder, so no lock file is needed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
