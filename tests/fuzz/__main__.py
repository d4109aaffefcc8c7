"""``make fuzz MINUTES=…``: runs all targets for a share of the time each, on all cores; exits with 1 on a finding.

Coverage-guided if atheris is installed, which ``make fuzz`` does; otherwise purely random.
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
    parser.add_argument("--minutes", type=float, default=1.0, help="time for all targets together")
    parser.add_argument("--target", choices=NAMES, action="append", help="only this target; may be repeated")
    options = parser.parse_args()
    names = options.target or NAMES
    cores = min(os.cpu_count() or 1, len(names))
    share = 60 * options.minutes * cores / sum(SLOW.get(name, 1) for name in names)
    print(f"{len(names)} targets for {options.minutes:g} minutes on {cores} cores", flush=True)
    began = time.monotonic()
    # The longest first, so that it does not run alone at the end.
    ordered = sorted(names, key=lambda name: -SLOW.get(name, 1))
    with ThreadPoolExecutor(cores) as pool:
        codes = dict(zip(ordered, pool.map(lambda name: _run(name, share * SLOW.get(name, 1)), ordered), strict=True))
    failed = sorted(name for name, code in codes.items() if code)
    result = f"findings in {', '.join(failed)}: see {FINDINGS.relative_to(REPOSITORY)}" if failed else "no findings"
    print(f"{result} after {(time.monotonic() - began) / 60:.1f} minutes")
    return int(bool(failed))


def _run(name: str, seconds: float) -> int:
    command = [sys.executable, "-m", "tests.fuzz.one_target", name, str(max(1, round(seconds)))]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        last_line = 0.0
        for line in process.stdout:
            if line.startswith("INFO:") or not line.strip():
                continue
            if line.startswith("#") and "DONE" not in line:
                if time.monotonic() < last_line + SECONDS_BETWEEN_LINES:
                    continue
                last_line = time.monotonic()
            print(f"{name:>10}  {line.rstrip()[:400]}", flush=True)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
