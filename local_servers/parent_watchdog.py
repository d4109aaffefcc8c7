"""Shared by both server processes: where they listen, and that they exit with the process that started them."""

from __future__ import annotations

import argparse
import os
import select
import shutil
import sys
import threading
from pathlib import Path

POLL_SECONDS = 1.0


def arguments() -> argparse.ArgumentParser:
    """The common options. Without ``--temporary`` a server runs until it is stopped, as in a container."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine only)")
    parser.add_argument("--port", type=int, default=0, help="0: a free port, which is printed")
    parser.add_argument("--folder", type=Path, help="where data is kept after the process ends")
    parser.add_argument("--temporary", type=Path, help="exit with the parent process and remove this folder")
    return parser


def exit_with_parent(temporary: Path) -> None:
    """Make this process exit, and remove the temporary folder, as soon as its parent process is gone.

    Standard input is a pipe from the parent. Its end is noticed at once, unless a fork of the parent keeps it open:
    then the changed parent id is noticed a moment later.
    """
    threading.Thread(target=_watch, args=(os.getppid(), temporary), name="parent-watchdog", daemon=True).start()


def announce(port: int) -> None:
    """Print the port for the parent process; later output goes to the log."""
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def _watch(parent: int, temporary: Path) -> None:
    descriptor = sys.stdin.fileno()
    while os.getppid() == parent:
        readable, _, _ = select.select([descriptor], [], [], POLL_SECONDS)
        if readable and not os.read(descriptor, 1):
            break
    shutil.rmtree(temporary, ignore_errors=True)
    os._exit(0)
