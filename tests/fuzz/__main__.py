"""``make fuzz MINUTES=…``: each target for its share of the time, side by side on all cores; ends with 1 on a finding.

Guided by coverage where atheris is installed, which ``make fuzz`` does, and by chance alone elsewhere.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz import FINDINGS, NAMES, SLOW

SECONDS_BETWEEN_LINES = 10.0
REPOSITORY = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="of this machine's time, for all targets together")
    parser.add_argument("--target", choices=NAMES, action="append", help="only this one; may be repeated")
    options = parser.parse_args()
    names = options.target or NAMES
    cores = min(os.cpu_count() or 1, len(names))
    share = 60 * options.minutes * cores / sum(SLOW.get(name, 1) for name in names)
    print(f"{len(names)} targets for {options.minutes:g} minutes on {cores} cores", flush=True)
    began = time.monotonic()
    # The longest first, so that no core waits for it at the end.
    ordered = sorted(names, key=lambda name: -SLOW.get(name, 1))
    with ThreadPoolExecutor(cores) as pool:
        codes = dict(zip(ordered, pool.map(lambda name: _run(name, share * SLOW.get(name, 1)), ordered), strict=True))
    failed = sorted(name for name, code in codes.items() if code)
    told = f"findings in {', '.join(failed)}: see {FINDINGS.relative_to(REPOSITORY)}" if failed else "no finding"
    print(f"{told}, after {(time.monotonic() - began) / 60:.1f} minutes")
    return int(bool(failed))


def _run(name: str, seconds: float) -> int:
    command = [sys.executable, "-m", "tests.fuzz.one_target", name, str(max(1, round(seconds)))]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        told = 0.0
        for line in process.stdout:
            if line.startswith("INFO:") or not line.strip():
                continue
            if line.startswith("#") and "DONE" not in line:
                if time.monotonic() < told + SECONDS_BETWEEN_LINES:
                    continue
                told = time.monotonic()
            print(f"{name:>10}  {line.rstrip()[:400]}", flush=True)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
