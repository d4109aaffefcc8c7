"""What both server processes share: where they listen, and that they end with the process that started them."""

from __future__ import annotations

import argparse
import os
import select
import shutil
import sys
import threading
from pathlib import Path

LOOK_SECONDS = 1.0


def arguments() -> argparse.ArgumentParser:
    """The options of both; without ``--temporary`` a server runs until it is stopped, as in a container."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine only)")
    parser.add_argument("--port", type=int, default=0, help="0: a free one, which is printed")
    parser.add_argument("--folder", type=Path, help="what is to outlive the process")
    parser.add_argument("--temporary", type=Path, help="end with the starter, and remove this folder then")
    return parser


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
