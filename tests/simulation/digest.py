"""``python -m tests.simulation.digest N``: one line that is the same whenever N seeds run the same."""

from __future__ import annotations

import hashlib
import re
import sys

from tests.simulation.attempts import simulate
from tests.simulation.generator import scenario

_RANDOM_NAME = re.compile(r"(_checkpoint-\d+)-[0-9a-f]{8}")


def digest(seeds: int) -> str:
    """The checksum of all traces, without the names that the core makes up."""
    lines: list[str] = []
    for seed in range(seeds):
        simulate(scenario(seed), lines.append)
    return hashlib.sha256(_RANDOM_NAME.sub(r"\1", "\n".join(lines)).encode()).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest(int(sys.argv[1])) + "\n")
