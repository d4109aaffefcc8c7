"""What both server processes share: they announce their port, and end with the process that started them."""

from __future__ import annotations

import os
import select
import shutil
import sys
import threading
from pathlib import Path

LOOK_SECONDS = 1.0


def end_with_starter(temporary: Path) -> None:
    """From now on this process ends, and removes the temporary folder, as soon as its starter is gone.

    Standard input is a pipe from the starter. Its end is seen at once, unless a copy of the starter (a fork) holds
    it open as well: then the changed parent is seen a moment later.
    """
    threading.Thread(target=_watch, args=(os.getppid(), temporary), name="lifeline", daemon=True).start()


def announce(port: int) -> None:
    """Tell the starter which port is served; whatever is printed later goes to the log."""
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def _watch(starter: int, temporary: Path) -> None:
    descriptor = sys.stdin.fileno()
    while os.getppid() == starter:
        readable, _, _ = select.select([descriptor], [], [], LOOK_SECONDS)
        if readable and not os.read(descriptor, 1):
            break
    shutil.rmtree(temporary, ignore_errors=True)
    os._exit(0)
