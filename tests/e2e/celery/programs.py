"""Redis and PostgreSQL from Debian's packages; ``python -m tests.e2e.celery.programs`` installs what is missing.

Nothing here starts them, and no system service is used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

POSTGRES = ("initdb", "postgres", "pg_dump", "pg_isready")
PACKAGES = {"redis-server": "redis-server", **dict.fromkeys(POSTGRES, "postgresql")}
SECONDS_TO_INSTALL = 600


def program(name: str) -> str:
    """The path of a program; raises ``FileNotFoundError`` with the package to install."""
    # Debian installs PostgreSQL's programs outside the PATH, in a folder per version.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    path = os.pathsep.join([*map(str, reversed(folders)), os.environ.get("PATH", os.defpath), "/usr/sbin"])
    if found := shutil.which(name, path=path):
        return found
    raise FileNotFoundError(f"{name} is not installed: apt-get install {PACKAGES[name]}")


def missing() -> list[str]:
    """The packages to install."""
    packages = set()
    for name, package in PACKAGES.items():
        try:
            program(name)
        except FileNotFoundError:
            packages.add(package)
    return sorted(packages)


def main() -> str | None:
    """Installs what is missing if it may; otherwise returns one line that says what to do."""
    packages = missing()
    if not packages:
        return None
    advice = f"Not installed: {' and '.join(packages)}. Install with: apt-get install {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return advice
    print(f"Installing {' and '.join(packages)}, once", flush=True)  # noqa: T201
    # The runlevel prevents Debian from starting them as services.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-q", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_TO_INSTALL,
        )
        if done.returncode:
            return f"{done.stdout[-2000:]}\n{advice}"
    return None


if __name__ == "__main__":
    sys.exit(main())
