"""How much memory a process needed. Standard library only: the benchmark's peers have nothing else."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_megabytes() -> float:
    """The most memory this process held so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # Rather than ru_maxrss, which a new process inherits from the one that started it.
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
