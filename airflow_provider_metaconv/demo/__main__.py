"""Runs the sample DAG in Airflow against the emulator or real Pages, and shows the results."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

try:
    from rich.console import Console, RenderableType
except ImportError:
    sys.exit("The demo has extra requirements: pip install 'airflow-provider-metaconv[demo]'")

from airflow_provider_metaconv.demo import erasure, results, screen
from airflow_provider_metaconv.demo.google import GooglePlace
from airflow_provider_metaconv.demo.places import ANSWERS, COUNTS, LEDGER, LocalPlace, Place
from airflow_provider_metaconv.demo.source import Emulator, RealPages, running_emulator
from airflow_provider_metaconv.demo.workspace import Airflow, Workspace, process

NEW_MESSAGES = 120


def main() -> int:
    """Run the demo. The exit status is 1 if a run failed or the counts differ from the emulator's."""
    options = _options()
    # Everything that the demo and its processes create (tokens, messages, Airflow's files) is for this user only.
    os.umask(0o077)
    console = Console(width=None if sys.stdout.isatty() else 120)
    workspace = Workspace(options.folder.resolve())
    place = GooglePlace.from_environment(os.environ) if options.google else LocalPlace(workspace.folder)
    real = RealPages.from_environment(os.environ)
    if real is None:
        place.clean()
    workspace.prepare()
    if workspace.is_open_to_others:
        folder = shlex.quote(str(workspace.folder))
        console.print(f"Other users of this machine can read {folder}; to restrict it: chmod -R go-rwx {folder}")
    airflow = workspace.airflow_environment(options.dags.resolve())
    # Airflow's database is created while the emulator generates its world. Both take several seconds.
    with workspace.log.open("ab") as log, process(["airflow", "db", "migrate"], airflow, log) as migration:
        if real is not None:
            with _Demo(console, workspace, place, airflow, migration) as demo:
                return demo.run_real_pages(real)
        now = datetime.now(UTC).replace(microsecond=0)
        with (
            running_emulator(workspace.folder, messages=options.messages, now=now) as emulator,
            _Demo(console, workspace, place, airflow, migration) as demo,
        ):
            console.print(
                f"An emulator of Meta's Graph API is running at {emulator.url}, with {options.messages:,} messages on "
                "4 Pages. It enforces rate limits with Meta's own error codes."
            )
            status = demo.run_emulated(emulator, now)
        if options.picture:
            screen.draw(demo.shown, options.picture)
        return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="folder for all files (default: .demo)")
    parser.add_argument(
        "--dags", type=Path, default=_dags_folder(), help="folder of meta_conversations.py and meta_erasure.py"
    )
    parser.add_argument("--picture", type=Path, help="also draw the summary as an SVG file")
    parser.add_argument("--google", action="store_true", help="use Cloud Storage and BigQuery, not files and DuckDB")
    parser.add_argument("--messages", type=int, default=50_000, help="number of messages in the emulated world")
    return parser.parse_args()


def _dags_folder() -> Path:
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "dags"
    return checkout if checkout.is_dir() else package / "example_dags"


class _Demo:
    """One demo, with its own Airflow in the workspace."""

    def __init__(
        self,
        console: Console,
        workspace: Workspace,
        place: Place,
        airflow: dict[str, str],
        migration: subprocess.Popen[bytes],
    ) -> None:
        self.shown: list[RenderableType] = []
        self._console = console
        self._workspace = workspace
        self._place = place
        self._environment = airflow
        self._migration = migration
        self._emulator: Emulator | None = None
        self._stack = ExitStack()
        self._started: Airflow | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run_emulated(self, emulator: Emulator, now: datetime) -> int:
        """Extract the full history, then new messages in the next interval; compare both with the ground truth."""
        self._emulator = emulator
        self._prepare_airflow(emulator.connection, [])
        if not (self._is_prepared() and self._extract(None, now)):
            return 1
        self._console.rule("The next interval")
        emulator.let_messages_arrive(NEW_MESSAGES, now)
        until = datetime.now(UTC).replace(microsecond=0)
        new = sum(row["messages"] for row in emulator.ground_truth(now, until).values())
        self._console.print(
            f"Meanwhile, {new} new messages have arrived. The next run fetches these, and reads the ten minutes before "
            "again, because Meta lists some messages late:"
        )
        if not self._extract(now, until):
            return 1
        status = self._compare(emulator, [(None, now), (now, until)])
        self._show_tables(LEDGER)
        self._console.rule("Answers")
        self._show_tables(ANSWERS)
        status = self._erase() or status
        self._show_places()
        self._show_real_pages_hint()
        return status

    def run_real_pages(self, real: RealPages) -> int:
        """Run once over real Pages: the last 24 hours, or since ``META_SINCE``."""
        until = datetime.now(UTC).replace(microsecond=0)
        since = None if real.since == "begin" else datetime.fromisoformat(real.since or str(until - timedelta(days=1)))
        if since is not None and since.tzinfo is None:
            raise SystemExit(f"META_SINCE={real.since} must have a time zone: set it to {real.since}+00:00.")
        self._prepare_airflow(real.connection, real.pages)
        if not (self._is_prepared() and self._extract(since, until)):
            return 1
        self._show_tables(LEDGER)
        self._show_tables(ANSWERS)
        self._show_places()
        return 0

    def _prepare_airflow(self, connection: Mapping[str, Any], pages: list[str]) -> None:
        """Set what the sample DAG reads from the environment: the connections, and the Variable with its settings."""
        self._environment |= {
            **self._place.environment,
            "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps(connection),
            "AIRFLOW_VAR_META_CONVERSATIONS": json.dumps({**self._place.variable, "pages": pages or "all"}),
        }

    def _is_prepared(self) -> bool:
        with self._console.status("Preparing Airflow's database"):
            return self._succeeded(self._migration.wait())

    def _extract(self, since: datetime | None, until: datetime) -> bool:
        params = {"since": since.isoformat() if since else "begin", "until": until.isoformat()}
        self._console.print(f"Airflow runs the DAG meta_conversations with {params}", highlight=False)

        def figures() -> tuple[list[results.Extracted], dict[str, Any]]:
            counts = self._emulator.statistics() if self._emulator else {}
            return list(results.windows_until(until, self._place.manifests())), counts

        airflow = self._airflow()
        airflow.start_run("meta_conversations", datetime.now(UTC).isoformat(), params)
        screen.watch(self._console, airflow.is_running, figures)
        if not self._run_succeeded(airflow):
            return False
        extractions, _ = figures()
        title = f"Extracted: {screen.day(since) if since else 'from the first message'} to {screen.day(until)}"
        self._show(screen.extraction_table(title, extractions))
        return True

    def _run_succeeded(self, airflow: Airflow) -> bool:
        if airflow.states()[-1:] == ["success"]:
            return True
        self._console.print(f"[red]Airflow's run did not succeed:[/red] see {self._workspace.log}.")
        for reason in results.failures(self._workspace.log):
            self._console.print(f"  {reason}", markup=False, highlight=False)
        return False

    def _erase(self) -> int:
        """Erase one person with the DAG meta_erasure, and search the tables for them."""
        self._console.rule("An erasure")
        person = erasure.person(self._place)
        before = erasure.rows_with(self._place, person)
        airflow = self._airflow()
        airflow.start_run("meta_erasure", datetime.now(UTC).isoformat(), {"person_id": person})
        with self._console.status("Airflow runs the DAG meta_erasure"):
            screen.wait(airflow.is_running)
        if not self._run_succeeded(airflow):
            return 1
        erased = erasure.erased(self._place, before, erasure.rows_with(self._place, person))
        if not erased.is_complete:
            self._console.print("[red]The erasure is not complete:[/red]")
        self._show(f"[green]{erased.line}[/green]" if erased.is_complete else erased.line)
        self._show(erased.proof)
        self._console.print(f"Receipt:  {erased.receipt}", highlight=False)
        return 0 if erased.is_complete else 1

    def _airflow(self) -> Airflow:
        """Return the demo's Airflow, started on first use."""
        if self._started is None:
            log = self._stack.enter_context(self._workspace.log.open("ab"))
            command = ["airflow_provider_metaconv.demo.runs", str(self._workspace.results)]
            child = self._stack.enter_context(process(command, self._environment, log))
            self._started = Airflow(child, self._workspace.results)
        return self._started

    def _succeeded(self, status: int | None) -> bool:
        if status != 0:
            self._console.print(f"[red]Airflow ended with status {status}:[/red] see {self._workspace.log}.")
        return status == 0

    def _show_tables(self, queries: Mapping[str, str]) -> None:
        for title, query in queries.items():
            self._show(screen.answer_table(title, self._place.ask(query)))

    def _compare(self, emulator: Emulator, windows: list[tuple[datetime | None, datetime]]) -> int:
        """Compare every manifest and the tables with the emulator's ground truth."""
        differences = []
        for since, until in windows:
            extracted = list(results.windows_until(until, self._place.manifests()))
            began = extracted[0].since if extracted else since
            found = {each.name: each.stats for each in extracted}
            differences += _differences(f"files until {screen.day(until)}", emulator.ground_truth(began, until), found)
        everything = emulator.ground_truth(None, windows[-1][1])
        differences += _differences("tables", everything, results.counts_by_page(self._place.ask(COUNTS)))
        errors = emulator.statistics()["errors"]
        differences += [f"the emulator returned no error {code}" for code in ("80006", "613") if not errors.get(code)]
        for difference in differences:
            self._console.print(f"[red]Differs from the emulator's ground truth:[/red] {difference}")
        if differences:
            return 1
        returned = ", ".join(f"{count} of code {code}" for code, count in sorted(errors.items()))
        self._show(
            f"[green]Files and tables match the emulator's ground truth exactly:[/green] "
            f"{sum(row['messages'] for row in everything.values()):,} messages. Errors it returned: {returned}."
        )
        return 0

    def _show(self, renderable: RenderableType) -> None:
        self._console.print(renderable)
        self.shown.append(renderable)

    def _show_places(self) -> None:
        self._console.print("\n".join([*self._place.lines, f"Airflow:  {self._workspace.log}"]), highlight=False)
        self._console.print(
            "\nCoverage page, at http://127.0.0.1:8080 under Browse > Coverage:\n"
            f"{self._workspace.api_server} --host 127.0.0.1 --port 8080",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def _show_real_pages_hint(self) -> None:
        self._console.print(
            f"\nYour own Pages, last 24 hours: META_ACCESS_TOKEN=... {self._place.command}\n"
            "(META_PAGE_IDS='123 456', META_SINCE=begin or a time, and META_APP_SECRET are optional)",
            highlight=False,
        )


def _differences(where: str, truth: dict[Any, dict[str, int]], found: dict[Any, dict[str, int]]) -> list[str]:
    return [
        f"{where}, {'/'.join(name)}: {counts['messages']} messages and {counts['conversations']} conversations "
        f"expected, found {found.get(name, 'nothing')}"
        for name, counts in truth.items()
        if {key: found.get(name, {}).get(key, 0) for key in ("messages", "conversations")}
        != {key: counts[key] for key in ("messages", "conversations")}
    ]


if __name__ == "__main__":
    sys.exit(main())
