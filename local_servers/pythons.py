"""Finds another version of Python on this machine; the error says how to get it if there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROBE_TIMEOUT_SECONDS = 20.0


class PythonMissing(RuntimeError):  # noqa: N818 - it names what is missing
    """No Python of that version was found; the message says how to get one."""


def find_uv() -> Path | None:
    """Return uv, from the folder of the running Python or from the PATH."""
    beside = Path(sys.executable).with_name("uv")
    if beside.exists():
        return beside
    found = shutil.which("uv")
    return Path(found) if found else None


def find_python(version: str) -> Path:
    """Return a working Python of that version, such as 3.13; raises PythonMissing."""
    for candidate in candidates(version):
        if _output([candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]) == version:
            return candidate
    raise PythonMissing(
        f"Python {version} is needed and none was found: install it (for example `uv python install {version}`) "
        f"or set {_variable(version)} to its path"
    )


def _variable(version: str) -> str:
    return f"METACONV_PYTHON{version.replace('.', '')}"


def candidates(version: str) -> Iterator[Path]:
    """Where it may be. A candidate may not run, such as a pyenv shim for another version."""
    named = os.environ.get(_variable(version))
    if named:
        yield Path(named)
    yield Path(sys.executable)
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    for root in (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"):
        if root:
            yield from sorted(Path(root).glob(f"versions/{version}*/bin/python3"))
    yield Path(f"/usr/bin/python{version}")
    yield from _python_of_uv(version)


def _python_of_uv(version: str) -> Iterator[Path]:
    uv = find_uv()
    if uv is None:
        return
    # uv stops at the first shim that fails.
    path = os.pathsep.join(part for part in os.get_exec_path() if not part.endswith("shims"))
    found = _output([uv, "python", "find", "--no-project", "--offline", version], {"PATH": path})
    if found:
        yield Path(found)


def _output(command: list[str | Path], variables: dict[str, str] | None = None) -> str | None:
    """The output of a command, None if it fails."""
    environment = {**os.environ, **(variables or {})}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PROBE_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
