"""Runs a scenario from its first attempt to its last, as Airflow would."""

from __future__ import annotations

import dataclasses
import logging
import random
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from unittest import mock

import orjson

from airflow_provider_metaconv.emulator.service import GraphService
from airflow_provider_metaconv.emulator.settings import EmulatorSettings
from airflow_provider_metaconv.emulator.tokens import USER_TOKEN
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from tests.simulation import budgets, erasures, retention
from tests.simulation.clock import VirtualClock
from tests.simulation.core import PHASES, Attempt, AttemptOutcome, Task
from tests.simulation.damage import CHECKPOINT, MANIFEST, damage
from tests.simulation.faults import FaultSchedule
from tests.simulation.findings import Finding
from tests.simulation.oracle import Observed, Oracle
from tests.simulation.privacy import RecordedPseudonyms, shown_ids
from tests.simulation.result import Result, read_result
from tests.simulation.scenario import PAGE_ID, START, ErasurePlan, RetentionPlan, Scenario
from tests.simulation.storage import Disk, Killed, MemoryStorage, Process, temporaries
from tests.simulation.transport import EndlessError, SimulatedSession, Wire
from tests.simulation.world import OTHER_PAGE_ID, LiveWorld

RETRIES = 3
RETRY_DELAY_SECONDS = 120.0
LONGEST_RESCHEDULE_SECONDS = 24 * 3_600.0
MOST_ATTEMPTS = 10
"""The most attempts before the faults are cleared: a limit that never ends would otherwise take a day."""

HEALTHY_ATTEMPTS = 3
HOURS_UNTIL_CLEARED = 3_600.0
MOST_HOURS = 24 * 3_600.0
OWN_TOKEN, OTHER_TOKEN = f"emulator-page-token-{PAGE_ID}", f"emulator-page-token-{OTHER_PAGE_ID}"
TOKENS = {"user": USER_TOKEN, "own": OWN_TOKEN, "other": OTHER_TOKEN, "other_public": OTHER_TOKEN}
SECRETS = (USER_TOKEN, OWN_TOKEN, OTHER_TOKEN)
WINDOW, EARLIER_WINDOW, AGAIN = "window", "earlier", "again"

Covered = tuple[str, str, int]
"""A fault's name, the phase in which it triggered, and the attempt."""


@dataclass
class Report:
    """The result of a scenario; without findings every guarantee held.

    ``calls_until_success`` counts the calls of all attempts up to the first successful one, ``kills`` the attempts of
    these that were killed.
    """

    scenario: Scenario
    findings: list[Finding] = field(default_factory=list)
    covered: Counter[Covered] = field(default_factory=Counter)
    calls: int = 0
    attempts: int = 0
    calls_until_success: int | None = None
    kills: int = 0


class _Logs(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


LOGS = _Logs()
_LOGGER = logging.getLogger("airflow_provider_metaconv")


def simulate(scenario: Scenario, trace: Callable[[str], None] | None = None) -> Report:
    """Runs a scenario to its end, or to the first attempt with a finding."""
    temporaries.clear()
    _LOGGER.addHandler(LOGS)
    level, propagates = _LOGGER.level, _LOGGER.propagate
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    try:
        report = _simulated(scenario, trace)
        if not report.findings and _is_only_killed(scenario):
            report.findings += _check_kills(scenario, report)
        return report
    finally:
        _LOGGER.setLevel(level)
        _LOGGER.propagate = propagates
        _LOGGER.removeHandler(LOGS)


class _RandomUuids:
    """Yields the same ids in each run of a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128))


def _simulated(scenario: Scenario, trace: Callable[[str], None] | None) -> Report:
    # The core's backoff uses the global random generator.
    random.seed(scenario.seed)
    simulation = _Simulation(scenario, trace)
    with mock.patch("uuid.uuid4", _RandomUuids(scenario.seed)):
        simulation.run()
    return simulation.report


def _is_only_killed(scenario: Scenario) -> bool:
    others = (
        scenario.faults,
        scenario.storage_faults,
        scenario.damages,
        scenario.world.arrivals,
        scenario.world.unsent,
    )
    # The cost of stale times depends on when they are met, which a kill changes.
    is_in_order = not any(each.name == "stale_updated_time" for each in scenario.world.habits)
    return bool(scenario.crashes) and is_in_order and not any(others)


def _check_kills(scenario: Scenario, report: Report) -> list[Finding]:
    """Checks the cost of kills against the same scenario without them."""
    undisturbed = _simulated(dataclasses.replace(scenario, crashes=()), None).calls_until_success
    if not report.kills or undisturbed is None or report.calls_until_success is None:
        return []
    most = budgets.calls_after_kills(undisturbed, report.kills)
    if report.calls_until_success <= most:
        return []
    text = f"{report.calls_until_success} calls with {report.kills} kills, {undisturbed} without, maximum {most}"
    return [Finding("G2", text, report.attempts)]


class _Simulation:
    def __init__(self, scenario: Scenario, trace: Callable[[str], None] | None) -> None:
        self._scenario, self._trace = scenario, trace or _no_trace
        world = scenario.world
        self._is_damaged = False
        self._clock = VirtualClock(float(START + 86_400))
        self._live = LiveWorld(world)
        old_rows = "id_and_time" if world.old_rows_have_time else "id_only"
        settings = EmulatorSettings(
            clock=self._clock,
            instagram_old_rows=old_rows,  # type: ignore[arg-type]
            pages_are_public=world.token == "other_public",
        )
        self._service = GraphService(self._live.world, settings)
        self._wire = Wire(
            self._service,
            FaultSchedule(world.habits, (), self._clock),
            self._clock,
            0.0 if world.since is None else float(START + world.since),
            lambda _: None,
            trace,
            self._live.bare,
        )
        self._service.faults = self._wire.schedule
        self._disk = Disk()
        self._pseudonyms = RecordedPseudonyms() if scenario.hashes_ids else None
        self._oracle = Oracle(scenario, self._live)
        self.report = Report(scenario)

    def run(self) -> None:
        """Runs all attempts; stops at the first finding."""
        if self._prepare():
            return
        self._begin()
        if self._run_as_airflow():
            return
        self._trace("--- the API is healthy from now on")
        self._wire.schedule.stop()
        self._service.limiter.clear_blocks()
        self._clock.sleep(HOURS_UNTIL_CLEARED)
        self._run_healthy()
        if self._scenario.erasure is not None and not self.report.findings:
            self._erase(self._scenario.erasure)
        if self._scenario.retention is not None and not self.report.findings:
            self._remove_old(self._scenario.retention)

    def _erase(self, plan: ErasurePlan) -> None:
        """Erases a person, and extracts the window again, which must not bring them back."""
        person, disk = erasures.chosen_person(plan, self._live), self._disk
        before = self._result(disk.copy(WINDOW))
        if person is None or before is None:
            return
        erasures.run_erasure(plan, person, disk, self._pseudonyms, self._trace)
        found = [*erasures.check(before, self._result(disk.copy(WINDOW)), person, plan, self._live)]
        found += [Finding("erasure", each) for each in self._traces(person, plan)]
        self._trace("--- the window is extracted again, after the erasure")
        world = self._scenario.world
        self._attempt(AGAIN, Process(trace=self._trace), world.since, world.until)
        found += [Finding("erasure", f"brought back: {each}") for each in self._traces(person, plan)]
        self.report.findings += found

    def _remove_old(self, plan: RetentionPlan) -> None:
        """Removes old messages, and extracts a full history, which must not bring them back."""
        disk = self._disk
        before = self._result(disk.copy(WINDOW))
        if before is None:
            return
        changed = retention.remove_all_old(plan, disk, self._trace)
        after = self._result(disk.copy(WINDOW))
        found = [
            *retention.check(before, after, plan, self._scenario.world.since),
            *retention.old_messages(plan, disk, self._live),
        ]
        found += [Finding("retention", f"the second time: {each}") for each in changed]
        self._trace("--- a full history, after the removal")
        self._attempt(AGAIN, Process(trace=self._trace), None, self._scenario.world.until, retention.cutoff_of(plan))
        found += retention.old_messages(plan, disk, self._live)
        again = self._result(disk.copy(AGAIN))
        if after is not None:
            found += retention.brought_back(again, after, plan, self._live.lost)
        self.report.findings += found

    def _traces(self, person: str, plan: ErasurePlan) -> list[str]:
        return list(erasures.traces(person, plan, self._disk, self._live, self._pseudonyms))

    def _prepare(self) -> bool:
        """Creates the earlier results, without faults. Returns whether there is a finding."""
        world = self._scenario.world
        if world.is_foreign:
            return False
        if self._scenario.has_earlier_window and (world.since or 200) > 1:
            outcome = self._attempt(EARLIER_WINDOW, Process(trace=self._trace), None, world.since or 200)
            if outcome.kind != "success":
                return self._find(Finding("G7", f"the earlier window cannot be extracted: {outcome.error}"))
        if self._scenario.has_earlier_result:
            outcome = self._attempt(WINDOW, Process(trace=self._trace), world.since, world.until)
            if outcome.kind != "success":
                return self._find(Finding("G7", f"a healthy Page fails: {outcome.error}"))
        return False

    def _begin(self) -> None:
        wire = self._wire
        wire.schedule = FaultSchedule(self._scenario.world.habits, self._scenario.faults, self._clock)
        wire.after_call = self._live.happen_after
        wire.sent.clear()
        self._service.faults = wire.schedule

    def _run_as_airflow(self) -> bool:
        retries, rescheduled_since = 0, None
        for number in range(1, MOST_ATTEMPTS + 1):
            outcome = self._checked_attempt(number)
            if self.report.findings:
                return True
            if outcome.kind in ("success", "fail"):
                return False
            if outcome.kind == "reschedule":
                rescheduled_since = rescheduled_since or self._clock.now
                if self._clock.now + outcome.wait_seconds - rescheduled_since <= LONGEST_RESCHEDULE_SECONDS:
                    self._clock.sleep(outcome.wait_seconds)
                    continue
            if retries == RETRIES:
                return False
            self._clock.sleep(RETRY_DELAY_SECONDS * 2**retries)
            retries, rescheduled_since = retries + 1, None
        return False

    def _run_healthy(self) -> None:
        first = self.report.attempts + 1
        for number in range(first, first + HEALTHY_ATTEMPTS):
            outcome = self._checked_attempt(number)
            if self.report.findings:
                return
            if outcome.kind == "success":
                break
            self._clock.sleep(RETRY_DELAY_SECONDS)
        self.report.findings += self._oracle.check_complete(self._seen)

    def _checked_attempt(self, number: int) -> AttemptOutcome:
        scenario, wire = self._scenario, self._wire
        process = Process(
            tuple(each for each in scenario.crashes if each.attempt == number),
            tuple(each for each in scenario.storage_faults if each.attempt == number),
            self._trace,
        )
        self._trace(f"--- attempt {number} at {self._clock.now - START - 86_400:.0f} s")
        for plan in scenario.damages:
            if plan.attempt == number and (what := damage(self._disk.folders.get(WINDOW, {}), plan)):
                self._is_damaged = True
                self._trace(what)
                self.report.covered[what, PHASES[0], number] += 1
        wire.attempt, before, first = number, self._disk.copy(WINDOW), len(wire.sent)
        LOGS.lines.clear()
        began = self._clock.now
        outcome = self._attempt(WINDOW, process, scenario.world.since, scenario.world.until)
        for line in LOGS.lines:
            self._trace(f"  log: {line}")
        self._trace(f"--- attempt {number} ends: {outcome.kind} {outcome.error}")
        if self._clock.now - began > MOST_HOURS:
            outcome = AttemptOutcome("endless")
        files, sent = self._disk.folders.get(WINDOW, {}), wire.sent[first:]
        manifest = files.get("_manifest.json")
        unchanged = manifest == before.get("_manifest.json")
        earlier = self._result(before)
        self._seen = Observed(
            number,
            outcome,
            sent,
            wire.sent,
            earlier,
            earlier if unchanged and files == before else self._result(files),
            not unchanged,
            not self._is_damaged and _is_finished(before, self._pseudonyms),
            LOGS.lines,
            tuple(files),
            tuple(data for name, data in files.items() if name in ("_manifest.json", "_checkpoint.json")),
            bool(process.triggered),
            self._clock.now - began,
            self._clock.now,
            SECRETS,
            () if self._pseudonyms is None else shown_ids(files, (*LOGS.lines, outcome.error)),
        )
        self.report.attempts, self.report.calls = number, self.report.calls + len(sent)
        if self.report.calls_until_success is None:
            # An attempt killed after its last effect has done everything; only its task does not know.
            is_published = not unchanged or self._seen.was_finished
            has_done_all = outcome.kind == "success" or (is_published and CHECKPOINT not in files)
            self.report.kills += outcome.kind == "killed" and not has_done_all
            if has_done_all:
                self.report.calls_until_success = self.report.calls
        for call in sent:
            for name in call.events:
                self.report.covered[name, call.phase, number] += 1
        for what in process.triggered:
            self.report.covered[what, sent[-1].phase if sent else PHASES[0], number] += 1
        self.report.findings += self._oracle.check(self._seen)
        return outcome

    def _attempt(
        self, folder: str, process: Process, since: int | None, until: int, not_before: datetime | None = None
    ) -> AttemptOutcome:
        world = self._scenario.world
        task = Task(
            world.platform,
            PAGE_ID,
            world.folders,
            None if since is None else _moment(since),
            _moment(until),
            self._scenario.sizes,
            self._scenario.accepts_partial,
            not_before,
        )
        storage = MemoryStorage(self._disk, folder, process)
        session = SimulatedSession(self._wire, process)
        extracted = datetime.fromtimestamp(int(self._clock.now), UTC).isoformat()
        try:
            privacy = RowPrivacy() if self._pseudonyms is None else self._pseudonyms.row_privacy()
            return Attempt(task, session, storage, self._clock, TOKENS[world.token], extracted, privacy).run()
        except Killed:
            return AttemptOutcome("killed")
        except EndlessError:
            process.is_dead = True
            return AttemptOutcome("endless")

    def _result(self, files: dict[str, bytes]) -> Result | None:
        return read_result(files, None if self._pseudonyms is None else self._pseudonyms.original)

    def _find(self, finding: Finding) -> bool:
        self.report.findings.append(finding)
        return True


def _is_finished(files: dict[str, bytes], pseudonyms: RecordedPseudonyms | None) -> bool:
    """Whether there is a complete manifest next to a checkpoint of the same extraction."""
    if MANIFEST not in files or CHECKPOINT not in files:
        return False
    try:
        content = orjson.loads(files[CHECKPOINT])["content"]
        if pseudonyms is not None:
            content = orjson.loads(pseudonyms.unseal(content.encode()))
        extraction = content["extraction_id"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    manifest = orjson.loads(files[MANIFEST])
    return bool(manifest["complete"] and manifest["extraction_id"] == extraction)


def _no_trace(_: str) -> None:
    """Discards the trace."""


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(START + second, UTC)
