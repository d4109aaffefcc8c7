"""One measurement: a fresh server, a fresh process, the server's count of calls, and the ids that were written."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_servers.pinned_environment import REPOSITORY
from tests.benchmarks.peers.competitors import Competitor
from tests.benchmarks.peers.shapes import Shape

TIMEOUT_SECONDS = 600.0
QUIET_CORES = 0.25
"""A measurement counts as disturbed if other processes use more than this, in cores."""

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Result:
    """The cost of one run. ``megabytes``: all responses, uncompressed. ``other_cores``: used by other processes."""

    shape: str
    latency_ms: int
    competitor: str
    messages: int
    calls: int = 0
    calls_by_kind: dict[str, int] | None = None
    seconds: float = 0.0
    megabytes: float = 0.0
    largest_answer_mb: float = 0.0
    processor_seconds: float = 0.0
    base_mb: float = 0.0
    peak_mb: float = 0.0
    missing: int = 0
    outside_window: int = 0
    unknown: int = 0
    repeated: int = 0
    other_cores: float = 0.0
    failure: str = ""


def measure(competitor: Competitor, shape: Shape, attempts: int = ATTEMPTS, patience: float = 0.0) -> Result:
    """Repeats a disturbed run, up to ``attempts`` runs in all; the least disturbed one counts.

    Before each run it waits up to ``patience`` seconds for an idle machine.
    """
    best: Result | None = None
    for _ in range(attempts):
        if patience:
            wait_for_quiet(patience)
        result = _measure_once(competitor, shape)
        if best is None or result.other_cores < best.other_cores:
            best = result
        if result.failure or result.other_cores <= QUIET_CORES:
            break
    assert best is not None
    return best


def _measure_once(competitor: Competitor, shape: Shape) -> Result:
    python = competitor.python()
    arguments = [str(python), "-m", f"tests.benchmarks.peers.clients.{competitor.program}"]
    with tempfile.TemporaryDirectory(prefix="metaconv-bench-") as folder:
        busy, own = _busy_seconds(), _own_seconds()
        started = time.perf_counter()
        with _server(shape) as url:
            done = subprocess.run(
                [*arguments, url, folder, shape.to_json(), json.dumps(competitor.options)],
                cwd=REPOSITORY,
                env=_variables(folder),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
            with urllib.request.urlopen(f"{url}/_count", timeout=60) as response:
                served = json.loads(response.read())
        elapsed = time.perf_counter() - started
        others = max(0.0, (_busy_seconds() - busy) - (_own_seconds() - own)) / elapsed
        common: dict[str, Any] = {
            "shape": shape.name,
            "latency_ms": shape.latency_ms,
            "competitor": competitor.name,
            "messages": shape.messages,
            "other_cores": round(others, 2),
            "calls": sum(served["calls"].values()),
            "calls_by_kind": served["calls"],
            "megabytes": served["bytes"] / 1e6,
            "largest_answer_mb": served["largest_answer"] / 1e6,
        }
        if done.returncode != 0:
            return Result(**common, failure=_last_line(done.stderr) or f"exit status {done.returncode}")
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        compared = _compared(Path(folder) / "ids.txt", shape)
        return Result(**common, **figures, **compared)


def _compared(path: Path, shape: Shape) -> dict[str, Any]:
    found = path.read_text().split()
    ids, expected = set(found), shape.expected_ids()
    return {
        "missing": len(expected - ids),
        "outside_window": len((ids - expected) & shape.all_ids()),
        "unknown": len(ids - shape.all_ids()),
        "repeated": len(found) - len(ids),
    }


def wait_for_quiet(longest_seconds: float) -> bool:
    """Wait until other processes are idle; False if they are not within that time."""
    deadline = time.monotonic() + longest_seconds
    while True:
        busy = _busy_seconds()
        time.sleep(2)
        if (_busy_seconds() - busy) / 2 <= QUIET_CORES:
            return True
        if time.monotonic() >= deadline:
            return False


@contextmanager
def _server(shape: Shape) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.benchmarks.peers.server", shape.to_json()]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError("the benchmark's server did not start")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _variables(home: str) -> dict[str, str]:
    """A separate home, so that no competitor finds or leaves settings; and no proxy for local connections."""
    dropped = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "HOME": home, "NO_PROXY": "127.0.0.1"}


def _busy_seconds() -> float:
    """The CPU time that all processes of the machine have used; 0 if the system does not report it."""
    status = Path("/proc/stat")
    if not status.exists():
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, status.read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """The CPU time of this process and its finished child processes."""
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in times)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
