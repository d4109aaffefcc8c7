"""Knows the ground truth, and checks the guarantees G1 to G9 after every attempt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airflow_provider_metaconv.emulator.faults import FAULTS
from tests.simulation import budgets
from tests.simulation.core import AttemptOutcome
from tests.simulation.faults import HONEST, LEADING_BACK, LIMITS_WITHOUT_HINT, MALFORMED
from tests.simulation.findings import Finding
from tests.simulation.result import Result
from tests.simulation.scenario import PAGE_ID, Scenario
from tests.simulation.transport import Sent
from tests.simulation.truth import Refusals, Truth
from tests.simulation.world import PRIVATE, LiveWorld

CONFINED = frozenset(
    {
        *("1", "1/99", "2", "-1", "-2", "10", "100/33", "200", "230", "551", "9000001", "100/cursor"),
        *("html_500", "hang", "reset_before", "reset_middle", "truncated_json", "truncated_gzip"),
        *("service_unavailable_200", "poisoned_thread", *LEADING_BACK, *MALFORMED),
    }
)
"""Faults that a single conversation may have while the Page is healthy."""

REFUSALS_FOR_GOOD = frozenset(
    name
    for name in FAULTS
    if name.split("/")[0] in ("3", "10", "12", "21", "100", "200", "230", "551", "803", "2500", "9000001")
) | {"redirect", "empty_page", *LEADING_BACK}
"""Faults after which a list is not requested again in the same attempt."""

FALLBACK_REFUSALS = 3
FALLBACK_SECONDS = 600.0
SLACK_SECONDS = 5.0
FOREIGN_TOKEN = f"not of Page {PAGE_ID}"


@dataclass
class Observed:
    """Everything about one attempt that is visible from outside.

    ``was_finished``: a complete manifest of the same extraction as the checkpoint's had been published before.
    ``history`` has the calls of all attempts up to this one. ``shown_ids`` are in a file, log or error although the
    policy hashes them.
    """

    number: int
    outcome: AttemptOutcome
    sent: Sequence[Sent]
    history: Sequence[Sent]
    before: Result | None
    after: Result | None
    is_new: bool
    was_finished: bool
    logs: Sequence[str]
    file_names: Sequence[str]
    public_bytes: Sequence[bytes]
    was_disturbed: bool
    seconds: float
    ended: float
    secrets: Sequence[str]
    shown_ids: Sequence[str] = ()


@dataclass
class Oracle:
    """The ground truth of one scenario, and what was observed so far."""

    scenario: Scenario
    live: LiveWorld
    truth: Truth = field(init=False)
    refused: set[str] = field(default_factory=set)
    lists_ended: set[str | None] = field(default_factory=set)
    faults_so_far: bool = False

    def __post_init__(self) -> None:
        self.truth = Truth(self.scenario.world, self.live, self.scenario.accepts_partial, self.scenario.hashes_ids)

    def check(self, seen: Observed) -> list[Finding]:
        """The findings after an attempt."""
        self._learn(seen)
        found = [*self._check_outcome(seen), *self._check_costs(seen), *_check_secrets(seen)]
        if seen.shown_ids:
            found.append(Finding("G9", f"shown although they are hashed: {', '.join(seen.shown_ids[:5])}"))
        if seen.after is not None:
            now = {fault.target or call.object_id for call in seen.sent for fault in call.triggered}
            people = {call.object_id for call in seen.sent if call.route == "participants" and call.triggered}
            own = Counter(
                call.object_id for call in seen.sent if call.route in ("object", "messages") and call.triggered
            )
            refusals = Refusals(frozenset(self.refused), frozenset(now), frozenset(people), own)
            found += self.truth.check(seen.after, seen.before, refusals, is_new=seen.is_new)
            if seen.is_new:
                found += self._check_lists(seen, seen.after)
        found += self.truth.check_never_worse(seen.before, seen.after)
        return [Finding(each.guarantee, each.text, seen.number) for each in found]

    def check_complete(self, seen: Observed) -> list[Finding]:
        """The findings after the last attempt on a healthy API, which must have succeeded and be complete."""
        if self.scenario.world.is_foreign:
            if seen.outcome.kind != "fail" or FOREIGN_TOKEN not in seen.outcome.error:
                return [
                    Finding("G10", f"another Page's token, but the task reports: {seen.outcome.error}", seen.number)
                ]
            return []
        if seen.outcome.kind != "success" or seen.after is None:
            text = f"no success on a healthy API: {seen.outcome.kind} {seen.outcome.error}"
            return [Finding("liveness", text, seen.number)]
        plain = budgets.plain_calls(self.scenario, self.live)
        most = budgets.recovery_calls(plain, len(self.live.conversation_ids))
        if len(seen.sent) > most:
            return [Finding("liveness", f"{len(seen.sent)} calls on a healthy API, maximum {most}", seen.number)]
        # If it was killed after its last effect, its result was checked then.
        wrong = sorted(self.truth.incomplete(seen.after)) if seen.is_new or not seen.was_finished else []
        if wrong or seen.after.is_partial:
            return [Finding("liveness", f"not complete on a healthy API: {wrong or 'the list'}", seen.number)]
        return []

    def _learn(self, seen: Observed) -> None:
        for call in seen.sent:
            if call.ends_list:
                self.lists_ended.add(call.folder)
            for fault in call.triggered:
                self.faults_so_far = True
                self.refused.add(fault.target or call.object_id)

    def _check_outcome(self, seen: Observed) -> Iterator[Finding]:
        outcome = seen.outcome
        if outcome.kind == "broken":
            yield Finding("G10", f"unexpected error: {outcome.error}")
        if outcome.kind == "endless":
            yield Finding("G7", f"not finished after {len(seen.sent)} calls")
        if self.scenario.world.is_foreign:
            if outcome.kind == "success":
                yield Finding("G1", "success with the token of another Page")
            return
        triggered = [fault for call in seen.sent for fault in call.triggered]
        if outcome.kind in ("retry", "fail", "reschedule") and not seen.was_disturbed and not triggered:
            yield Finding("G7", f"a healthy Page fails: {outcome.error}")
        elif outcome.kind in ("retry", "fail") and not seen.was_disturbed and self._concerns_one(seen):
            yield Finding("G6", f"one conversation stops the Page: {outcome.error}")
        elif outcome.kind != "success" and not seen.was_disturbed and self._is_only_too_large:
            yield Finding("G6", f"smaller calls succeed, but the task ends: {outcome.error}")
        if outcome.kind == "success" and seen.after is None:
            yield Finding("G1", "success without a manifest")
        if seen.was_finished and any(call.route == "conversations" for call in seen.sent):
            yield Finding("G2", "an extraction with a published result is read again")

    def _concerns_one(self, seen: Observed) -> bool:
        """Whether only one conversation was refused, in a way that does not concern the Page."""
        triggered = [fault for call in seen.sent for fault in call.triggered if fault.name not in HONEST]
        targets = {fault.target for fault in triggered}
        is_confined = all(fault.name in CONFINED for fault in triggered)
        # No cursor leads past a conversation that makes every list fail, even for a single row.
        is_confined &= not any(
            call.route == "conversations" and call.limit == 1 and call.triggered for call in seen.sent
        )
        # Empty pages that name themselves are not refused, but are not a list either.
        is_confined &= not any(fault.name == "empty_page" for call in seen.sent for fault in call.triggered)
        is_confined &= len(targets) == 1 and targets <= self.live.conversation_ids
        return is_confined and len(self.truth.required) > 1

    # Calls and waiting

    def _check_costs(self, seen: Observed) -> Iterator[Finding]:
        triggered = {fault for call in seen.sent for fault in call.triggered}
        plain = budgets.plain_calls(self.scenario, self.live)
        is_success = seen.outcome.kind == "success" and not seen.was_disturbed
        if is_success and not self.faults_so_far and len(seen.sent) > (most := budgets.healthy_calls(plain)):
            yield Finding("G7", f"{len(seen.sent)} calls for a healthy Page, maximum {most}")
        waited = budgets.waited(seen.sent, seen.seconds)
        if not triggered and waited > SLACK_SECONDS:
            yield Finding("G7", f"{waited:.0f} s of waiting without a fault")
        if is_success and seen.number == 1 and triggered and self._is_only_poisoned:
            bad, listed = len({fault.target for fault in triggered}), len(self.live.conversation_ids)
            unreadable = sum(bool(dict(each.options).get("alone")) for each in self.scenario.faults)
            most = (
                budgets.isolation_calls(plain, bad, self.scenario, listed) + budgets.CALLS_PER_UNREADABLE * unreadable
            )
            if len(seen.sent) > most:
                yield Finding("G8", f"{len(seen.sent)} calls to isolate {bad} of {listed}, maximum {most}")
            if waited > budgets.ISOLATION_WAIT_SECONDS + budgets.SECONDS_PER_UNREADABLE * unreadable:
                yield Finding("G8", f"{waited:.0f} s of waiting to isolate {bad} of {listed}")
        if self._is_only_limited:
            was_freed = seen.outcome.kind == "reschedule"
            for problem in budgets.check_limits(seen.history, seen.sent, seen.ended, was_freed=was_freed):
                yield Finding("G8", problem)

    @property
    def _is_only_poisoned(self) -> bool:
        """Whether the only faults are conversations that make every list with their data fail."""
        faults = self.scenario.faults
        return all(each.name == "poisoned_thread" and not dict(each.options).get("light") for each in faults)

    @property
    def _is_only_too_large(self) -> bool:
        """Whether only calls for too much are refused, so that all calls for one row succeed."""
        sizes = ("limit_over", "nested_limit_over", "more_than")
        given = [dict(each.options) for each in self.scenario.faults]
        return bool(given) and all(any(options.get(size, 0) >= 1 for size in sizes) for options in given)

    @property
    def _is_only_limited(self) -> bool:
        """Whether the only fault is a limit of one hour without an estimate from Meta."""
        scenario = self.scenario
        if scenario.crashes or scenario.storage_faults or scenario.damages or len(scenario.faults) != 1:
            return False
        fault = scenario.faults[0]
        return fault.name in LIMITS_WITHOUT_HINT and fault.seconds == budgets.HOUR and not fault.options

    # Lists

    def _check_lists(self, seen: Observed, result: Result) -> Iterator[Finding]:
        folders = self.scenario.world.folders
        given_up = [folder for folder in folders if result.is_partial and (folder or "") in result.missing_lists]
        unread = [folder for folder in folders if folder not in given_up and folder not in self.lists_ended]
        if unread and not result.is_partial:
            yield Finding("G1", f"reported as complete, but no list call has shown the end of {unread}")
        elif unread:
            yield Finding("G4", f"the gaps do not name {unread}: {result.gaps}")
        if given_up and len(folders) == 1 and not self.scenario.accepts_partial:
            yield Finding("G2", "a list was given up although a partial result is not accepted")
        for folder in given_up:
            yield from self._check_given_up(seen, folder)

    def _check_given_up(self, seen: Observed, folder: str | None) -> Iterator[Finding]:
        """Checks a list reported as unreadable: it must have been refused permanently, or often and long enough."""
        calls = [call for call in seen.sent if call.route == "conversations" and call.folder == folder]
        refused = [call for call in calls if call.is_refused]
        if not refused:
            yield Finding("G2", f"the list {folder or ''} was given up, but nothing of it was refused in this attempt")
            return
        for_good = any(fault.name in REFUSALS_FOR_GOOD for call in refused for fault in call.triggered)
        if not self.scenario.accepts_partial or for_good:
            return
        refused = [call for call in refused if call.limit <= 1]
        if len(refused) < FALLBACK_REFUSALS:
            text = f"a list was given up after {len(refused)} refusals of its smallest call in this attempt"
            yield Finding("G2", text)
        elif refused[-1].time - refused[0].time < FALLBACK_SECONDS:
            yield Finding("G2", f"a list was given up after {refused[-1].time - refused[0].time:.0f} s")


def _check_secrets(seen: Observed) -> Iterator[Finding]:
    text = "\n".join((*seen.logs, seen.outcome.error, *seen.file_names))
    files = b"\n".join(seen.public_bytes)
    for secret in (*seen.secrets, PRIVATE):
        if secret in text or secret.encode() in files:
            yield Finding(
                "G9",
                f"{'a message text' if secret == PRIVATE else 'a secret'} is in logs, errors, file names or manifests",
            )
