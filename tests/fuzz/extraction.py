"""A whole extraction in process, from modified responses."""

from __future__ import annotations

import contextlib
import json
import logging
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from airflow_provider_metaconv.emulator.service import GraphService
from airflow_provider_metaconv.emulator.settings import EmulatorSettings
from airflow_provider_metaconv.emulator.tokens import USER_TOKEN
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from tests.simulation.attempts import LOGS, SECRETS, _RandomUuids
from tests.simulation.clock import VirtualClock
from tests.simulation.core import Attempt, AttemptOutcome, Task
from tests.simulation.faults import FaultSchedule
from tests.simulation.result import Result, read_result
from tests.simulation.scenario import PAGE_ID, START, ConversationPlan, WorldPlan
from tests.simulation.storage import Disk, MemoryStorage, Process, temporaries
from tests.simulation.transport import EndlessError, Response, SimulatedSession, Wire
from tests.simulation.world import PRIVATE, LiveWorld

FOLDER = "window"
SINCE, UNTIL = 100, 700
CHANGED_ATTEMPTS, CORRECT_ATTEMPTS = 2, 4
WORLD = WorldPlan(
    conversations=(
        ConversationPlan("t_1", tuple(range(120, 150))),
        ConversationPlan("t_2", (50, 90, 200, 300), content="attachments"),
        ConversationPlan("t_3", (310,), bare="created_time"),
        ConversationPlan("t_4", (400, 410, 420), people=3),
        ConversationPlan("t_5", (10, 20)),
        ConversationPlan("t_6", (500, 650, 660)),
    ),
    since=SINCE,
    until=UNTIL,
)
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    10**400,
    1.5,
    float("inf"),
    "",
    " ",
    "\ud800",
    "a\0b",
    "\u202e",
    "x" * 5_000,
    "../../me",
    "100/accounts?fields=access_token#",
    "https://graph.simulation/v1/other?after=zzz&access_token=x",
    "2025-11-20T00:05:00+0000",
    "0001-01-01T00:00:00+0000",
    "9999-12-31T23:59:59-2359",
    [],
    {},
    [None],
    {"data": []},
    {"data": None},
    {"data": [{}], "paging": {"next": "x"}},
    {"error": {"code": 190, "message": "m"}},
    {"error": {"code": True, "error_subcode": [], "message": {}}},
    {"error_code": 4, "error_msg": "limit"},
)
STATUSES = (200, 204, 301, 400, 401, 403, 404, 408, 413, 429, 500, 503, 599, 100)
HEADERS = ("x-app-usage", "x-business-use-case-usage", "x-page-usage", "retry-after", "content-type", "location")


class Changes:
    """Each four bytes are one change: how many calls pass before it, its kind, its position, and its value."""

    def __init__(self, data: bytes) -> None:
        self._left = [data[start : start + 4] for start in range(0, len(data) - 3, 4)][:64]
        self._passing = self._left[0][0] % 8 if self._left else 0
        self._changed: set[Any] = set()
        self.is_over = False

    def apply(self, call: Any, response: Response) -> bool:
        """Changes the response to this call or leaves it; a repeated call gets the correct response."""
        if self.is_over or not self._left or call in self._changed:
            return False
        if self._passing:
            self._passing -= 1
            return False
        self._changed.add(call)
        _, what, where, value = self._left.pop(0)
        self._passing = self._left[0][0] % 8 if self._left else 0
        _change(response, what, where, value)
        return True


def _change(response: Response, what: int, where: int, value: int) -> None:
    body = response.content
    at = where * len(body) // 256
    match what % 16:
        case 0:
            response.content = body[:at]
        case 1:
            response.content = body[:at] + bytes([value]) + body[at + 1 :]
        case 2:
            response.content = body[:at] + bytes([value]) * 600 + body[at:]
        case 3:
            response.status_code = STATUSES[value % len(STATUSES)]
        case 4:
            response.headers[HEADERS[where % len(HEADERS)]] = json.dumps(_odd(value))
        case 5:
            response.content = b"[" * 5_000 * (value % 16 + 1)
        case kind:
            response.content = _changed_json(body, kind, where, value)


def _odd(value: int) -> Any:
    return ODD[value % len(ODD)]


def _changed_json(body: bytes, kind: int, where: int, value: int) -> bytes:
    tree = json.loads(body)
    places = list(_places(tree))
    if not places:
        return body
    parent, key = places[where * len(places) // 256]
    other, other_key = places[value * len(places) // 256]
    match kind:
        case 6 | 7 | 8:
            parent[key] = _odd(value)
        case 9:
            del parent[key]
        case 10:
            parent[key] = json.loads(json.dumps(other[other_key]))
        case 11 if isinstance(parent, list):
            parent.insert(value % (len(parent) + 1), json.loads(json.dumps(parent[key])))
        case 12 if isinstance(parent, list):
            parent.reverse()
        case 13 if isinstance(parent, list):
            del parent[key:]
        case 14 if isinstance(parent[key], str):
            parent[key] += str(_odd(value))
        case _:
            parent[key] = {"data": parent[key]}
    return json.dumps(tree).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, value in items:
        yield tree, key
        yield from _places(value)


class ChangingSession(SimulatedSession):
    """Records each message in an unmodified response, with its conversation."""

    def __init__(self, wire: Wire, process: Process, changes: Changes, live: LiveWorld) -> None:
        super().__init__(wire, process)
        self._changes, self._threads = changes, live.world.threads
        self.delivered: set[tuple[str, str]] = set()

    def send(self, request: Any, *, timeout: tuple[float, float], **options: Any) -> Any:  # type: ignore[override]
        response = super().send(request, timeout=timeout, **options)
        if not self._changes.apply((request.url, *sorted(request.params.items())), response):
            self._record_messages(request, json.loads(response.content))
        return response

    def _record_messages(self, request: Any, answer: dict[str, Any]) -> None:
        for row in (answer, *(answer.get("data") or [])):
            nested = row.get("messages") if isinstance(row, dict) and row.get("id") in self._threads else None
            self._record_rows(row["id"], nested) if nested else None
        for identifier in self._threads:
            if f"/{identifier}/messages" in request.url:
                self._record_rows(identifier, answer)

    def _record_rows(self, conversation: str, edge: dict[str, Any]) -> None:
        times = {message.id: message.created_time for message in self._threads[conversation].messages}
        for row in edge.get("data") or []:
            if START + SINCE <= times[row["id"]] < START + UNTIL and "message" in row:
                self.delivered.add((conversation, row["id"]))


def _attempt(disk: Disk, session: ChangingSession, process: Process, clock: VirtualClock) -> AttemptOutcome:
    task = Task("MESSENGER", PAGE_ID, (None,), _moment(SINCE), _moment(UNTIL), (3, 4, 10), accepts_partial=False)
    storage = MemoryStorage(disk, FOLDER, process)
    try:
        return Attempt(task, session, storage, clock, USER_TOKEN, "2026-11-22T00:00:00+00:00", RowPrivacy()).run()
    except EndlessError:
        return AttemptOutcome("endless")


@contextlib.contextmanager
def _captured_logs() -> Iterator[None]:
    logger = logging.getLogger("airflow_provider_metaconv")
    before = logger.level, logger.propagate
    logger.addHandler(LOGS)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(LOGS)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(START + second, UTC)


def extraction(data: bytes) -> None:
    """Whatever the responses, an attempt ends in a declared way, without secrets; correct responses let it succeed."""
    random.seed(0)
    temporaries.clear()
    clock = VirtualClock(float(START + 86_400))
    live = LiveWorld(WORLD)
    schedule = FaultSchedule((), (), clock)
    service = GraphService(live.world, EmulatorSettings(clock=clock))
    service.faults = schedule
    wire = Wire(service, schedule, clock, float(START + SINCE), lambda _: None, None, live.bare)
    changes, disk = Changes(data), Disk()
    LOGS.lines.clear()
    with mock.patch("uuid.uuid4", _RandomUuids(0)), _captured_logs():
        for number in range(CHANGED_ATTEMPTS + CORRECT_ATTEMPTS):
            changes.is_over = number >= CHANGED_ATTEMPTS
            process = Process()
            session = ChangingSession(wire, process, changes, live)
            outcome = _attempt(disk, session, process, clock)
            _check(outcome, disk, session.delivered)
            if outcome.kind == "success":
                return
            clock.sleep(3_600.0 + outcome.wait_seconds)
    raise AssertionError(f"no success with correct responses: {outcome.kind} {outcome.error}")


def _check(outcome: AttemptOutcome, disk: Disk, delivered: set[tuple[str, str]]) -> None:
    assert outcome.kind not in ("broken", "endless"), f"{outcome.kind}: {outcome.error}"
    visible = [outcome.error, *outcome.gaps, *LOGS.lines, *disk.folders.get(FOLDER, {})]
    for secret in (*SECRETS, PRIVATE):
        assert not any(secret in text for text in visible), secret
    result = read_result(disk.folders.get(FOLDER, {}))
    if result is not None:
        assert not result.problems, result.problems
        assert not result.contradictions, result.contradictions
    if outcome.kind == "success":
        assert result is not None
        _check_rows(result, delivered)


def _check_rows(result: Result, delivered: set[tuple[str, str]]) -> None:
    """Each message is there once, and every delivered message of a complete conversation is there."""
    keys = [(row["conversation_id"], row["message_id"]) for row in result.messages]
    assert len(keys) == len(set(keys)), "a message is there twice"
    ledger = result.conversations
    for conversation, message in sorted(delivered):
        if conversation in ledger and ledger[conversation]["status"] != "complete":
            continue
        assert message in result.ids.get(conversation, set()), f"{message} was delivered but is missing"
