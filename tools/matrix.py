"""Runs the provider's tests on several Airflow versions: ``make test-matrix``, or ``python -m tools.matrix 3.1.8``.

``python -m tools.matrix --install 3.1.8`` only creates its environment, for ``make test-ui``.

Each Airflow gets its own virtual environment, with the given Python and the current versions of all other packages,
unless ``pins`` name an older one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from local_servers.pythons import PythonMissing, find_python, find_uv

REPOSITORY = Path(__file__).parents[1]
TESTS = (
    "tests/unit/test_dag_settings.py",
    "tests/integration/provider",
    "tests/e2e/test_observability.py",
    "tests/e2e/test_sample_dag.py",
)
SCHEDULER_TESTS = ("tests/e2e/test_erasure_approval.py",)
"""A person's approval needs a scheduler, a triggerer and the REST API."""

INSTALL_SECONDS = 900
TEST_SECONDS = 900


@dataclass(frozen=True)
class Cell:
    """One Airflow on one Python; ``pins`` are additional requirements."""

    airflow: str
    python: str
    extras: str = "duckdb,parquet,test"
    pins: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of its virtual environment."""
        return REPOSITORY / f".venv-airflow-{self.airflow}"


CELLS = (
    Cell("3.1.8", "3.11"),
    Cell("3.2.2", "3.12", pins=("fastapi<0.137", "svcs==25.1.0")),
    Cell("3.3.2", "3.13", "google,duckdb,parquet,test"),
)


def main(wanted: list[str]) -> int:
    """Returns the number of cells that failed."""
    only_install = "--install" in wanted
    wanted = [version for version in wanted if version != "--install"]
    unknown = set(wanted) - {cell.airflow for cell in CELLS}
    if unknown:
        raise SystemExit(
            f"{', '.join(unknown)} is not in the matrix; choose from {', '.join(cell.airflow for cell in CELLS)}."
        )
    if only_install:
        for cell in CELLS:
            if cell.airflow in wanted:
                _install(cell)
        return 0
    results = [(cell, *_run_tests(cell)) for cell in CELLS if not wanted or cell.airflow in wanted]
    print()
    for cell, status, seconds in results:
        print(f"Airflow {cell.airflow}, Python {cell.python}: {status} ({seconds:.0f} s)")
    return sum(status != "passed" for _, status, _ in results)


def _run_tests(cell: Cell) -> tuple[str, float]:
    print(f"\nAirflow {cell.airflow} on Python {cell.python}", flush=True)
    started = time.monotonic()
    try:
        _install(cell)
        _run_pytest(cell, "--numprocesses=2", "--dist=loadfile", *TESTS)
        _run_pytest(cell, "-m", "scheduler", *SCHEDULER_TESTS)
    except (PythonMissing, subprocess.SubprocessError) as error:
        print(error)
        return "failed", time.monotonic() - started
    return "passed", time.monotonic() - started


def _run_pytest(cell: Cell, *arguments: str) -> None:
    subprocess.run(
        [cell.folder / "bin" / "python", "-m", "pytest", *arguments],
        check=True,
        cwd=REPOSITORY,
        env=_environment(),
        timeout=TEST_SECONDS,
    )


def _install(cell: Cell) -> None:
    uv = find_uv()
    assert uv is not None, "uv is missing: make installs it"
    python = cell.folder / "bin" / "python"
    if not python.exists():
        _run([uv, "venv", "--quiet", "--no-project", "--python", find_python(cell.python), cell.folder])
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python]
    _run([*install, f"apache-airflow=={cell.airflow}", *cell.pins, "--editable", f".[{cell.extras}]"])


def _run(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, cwd=REPOSITORY, env=_environment(), timeout=INSTALL_SECONDS)


def _environment() -> dict[str, str]:
    unwanted = ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
