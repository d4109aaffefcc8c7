"""One target for so many seconds, in a process of its own: ``python -m tests.fuzz.one_target manifest 60``."""

from __future__ import annotations

import hashlib
import logging
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import CORPUS, FINDINGS, GROWING

try:
    import atheris
except ImportError:  # not on every Python
    atheris = None

LONGEST_INPUT = 4_096
SECONDS_PER_INPUT = 20
MEGABYTES = 2_048
SECONDS_BETWEEN_LINES = 10.0


def main(name: str, seconds: int) -> int:
    logging.disable(logging.NOTSET)
    logging.getLogger("airflow_provider_metaconv").addHandler(logging.NullHandler())
    logging.getLogger("airflow_provider_metaconv").propagate = False
    seeds, growing, findings = CORPUS / name, GROWING / name, FINDINGS / name
    for folder in (seeds, growing, findings):
        folder.mkdir(parents=True, exist_ok=True)
    if atheris is None:
        return _by_chance(_target(name), seeds, findings, seconds)
    with atheris.instrument_imports(include=["airflow_provider_metaconv"]):
        target = _target(name)
        # What is imported late counts as well, and its time is not that of an input.
        target(b"")
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={SECONDS_PER_INPUT}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
        "-reload=0",
        "-len_control=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(growing), str(seeds)], target)
    atheris.Fuzz()
    return 0


def _target(name: str) -> Callable[[bytes], None]:
    from tests.fuzz.targets import TARGETS

    return TARGETS[name]


def _by_chance(target: Callable[[bytes], None], seeds: Path, findings: Path, seconds: int) -> int:
    """Changed seeds without a guide; keeps the first input that fails."""
    known = [path.read_bytes() for path in sorted(seeds.iterdir())] or [b""]
    chance, began, told, count = random.Random(), time.monotonic(), time.monotonic(), 0
    while (now := time.monotonic()) < began + seconds:
        data = _changed(chance, known)
        count += 1
        try:
            target(data)
        except Exception as error:  # noqa: BLE001  (any is a finding)
            path = findings / f"crash-{hashlib.sha1(data).hexdigest()}"
            path.write_bytes(data)
            print(f"{type(error).__name__}: {error}\n{path}", flush=True)
            return 1
        if now > told + SECONDS_BETWEEN_LINES:
            told = now
            print(f"#{count} exec/s: {count / (now - began):.0f}", flush=True)
    print(f"#{count} DONE exec/s: {count / seconds:.0f}", flush=True)
    return 0


def _changed(chance: random.Random, known: list[bytes]) -> bytes:
    data = bytearray(chance.choice(known))
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 1:
                del data[at : at + chance.randrange(1, 9)]
            case 2:
                other = chance.choice(known)
                data[at:at] = other[chance.randrange(len(other) + 1) :][:64]
            case _ if at < len(data):
                data[at] = chance.randrange(256)
    return bytes(data[:LONGEST_INPUT])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
