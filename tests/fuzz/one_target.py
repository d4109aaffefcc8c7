"""Runs one target for a number of seconds in its own process: ``python -m tests.fuzz.one_target manifest 60``."""

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
except ImportError:  # not available for every Python
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
        return _fuzz_randomly(_target(name), seeds, findings, seconds)
    with atheris.instrument_imports(include=["airflow_provider_metaconv"]):
        target = _target(name)
        # Instruments late imports too, and keeps their time out of the first input's.
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


def _fuzz_randomly(target: Callable[[bytes], None], seeds: Path, findings: Path, seconds: int) -> int:
    """Runs randomly changed seeds; stores the first input that fails."""
    known = [path.read_bytes() for path in sorted(seeds.iterdir())] or [b""]
    rng, began, last_line, count = random.Random(), time.monotonic(), time.monotonic(), 0
    while (now := time.monotonic()) < began + seconds:
        data = _changed(rng, known)
        count += 1
        try:
            target(data)
        except Exception as error:  # noqa: BLE001  (any exception is a finding)
            path = findings / f"crash-{hashlib.sha1(data).hexdigest()}"
            path.write_bytes(data)
            print(f"{type(error).__name__}: {error}\n{path}", flush=True)
            return 1
        if now > last_line + SECONDS_BETWEEN_LINES:
            last_line = now
            print(f"#{count} exec/s: {count / (now - began):.0f}", flush=True)
    print(f"#{count} DONE exec/s: {count / seconds:.0f}", flush=True)
    return 0


def _changed(rng: random.Random, known: list[bytes]) -> bytes:
    data = bytearray(rng.choice(known))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 1:
                del data[at : at + rng.randrange(1, 9)]
            case 2:
                other = rng.choice(known)
                data[at:at] = other[rng.randrange(len(other) + 1) :][:64]
            case _ if at < len(data):
                data[at] = rng.randrange(256)
    return bytes(data[:LONGEST_INPUT])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
