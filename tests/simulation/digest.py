"""``python -m tests.simulation.digest N``: prints one line, which is the same whenever N seeds run the same."""

from __future__ import annotations

import hashlib
import re
import sys

from tests.simulation.attempts import simulate
from tests.simulation.generator import scenario

_SIZE = re.compile(r"\(\d+ bytes\)")


def digest(seeds: int) -> str:
    """The checksum of all traces, without file sizes: some files contain the wall-clock time."""
    lines: list[str] = []
    for seed in range(seeds):
        simulate(scenario(seed), lines.append)
    return hashlib.sha256(_SIZE.sub("", "\n".join(lines)).encode()).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest(int(sys.argv[1])) + "\n")
