"""A ``requests.Session`` for ``GraphClient`` that calls the emulator in process and simulates the network."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import requests

from airflow_provider_metaconv.emulator.models import Thread
from airflow_provider_metaconv.emulator.requests import Request
from airflow_provider_metaconv.emulator.service import Answer, GraphService
from tests.simulation.clock import VirtualClock
from tests.simulation.faults import HONEST, LEADING_BACK, REFUSING, FaultSchedule, TriggeredFault
from tests.simulation.scenario import START
from tests.simulation.storage import Process

ORIGIN = "https://graph.simulation"
LATENCY_SECONDS = 0.4
MOST_CALLS = 2_500
"""The most calls of one attempt before it counts as endless; the largest worlds take 200."""

TOKEN = "token"
"""The phase of the calls before the core's own."""

_NESTED = re.compile(r"messages\.limit\((\d+)\)")


class EndlessError(BaseException):
    """An attempt has sent more calls than any extraction needs."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One call as seen on the network; ``status`` is 0 without a response.

    ``phase`` is its purpose. ``ends_list``: a correct response to a call for conversations that was the last page, or
    older than the window.
    """

    number: int
    attempt: int
    time: float
    phase: str
    route: str
    object_id: str
    folder: str | None
    limit: int
    status: int
    triggered: tuple[TriggeredFault, ...]
    habits: tuple[str, ...]
    ends_list: bool
    timed_out: bool = False

    @property
    def events(self) -> tuple[str, ...]:
        """What happened at the call, as named in the coverage."""
        return (*(fault.name for fault in self.triggered), *(f"habit: {name}" for name in self.habits))

    @property
    def is_refused(self) -> bool:
        """Whether the response was not what was requested."""
        return self.timed_out or any(fault.name not in HONEST or fault.name in REFUSING for fault in self.triggered)


@dataclass(slots=True)
class Response:
    """The parts of a response that ``GraphClient`` reads."""

    status_code: int
    headers: dict[str, str]
    content: bytes


@dataclass
class Wire:
    """One emulated API and everything between it and the client."""

    service: GraphService
    schedule: FaultSchedule
    clock: VirtualClock
    since: float
    after_call: Callable[[int], None]
    trace: Callable[[str], None] | None = None
    bare: Mapping[str, str] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    attempt: int = 0
    phase: str = TOKEN


class SimulatedSession(requests.Session):
    """The session of one attempt; its process may die at a call."""

    def __init__(self, wire: Wire, process: Process) -> None:  # no super().__init__: none of it is used
        self._wire, self._process = wire, process

    def note_phase(self, phase: str) -> None:
        """Sets the purpose of the next call."""
        self._wire.phase = phase

    def merge_environment_settings(self, *_: Any) -> dict[str, Any]:  # type: ignore[override]
        return {}

    def prepare_request(self, request: Any) -> Any:
        # requests' own preparation takes longer than the emulator's response.
        return request.auth(request)

    def send(self, request: Any, *, timeout: tuple[float, float], **_: Any) -> Any:  # type: ignore[override]
        self._process.call()
        if self._process.calls > MOST_CALLS:
            raise EndlessError
        wire = self._wire
        wire.schedule.next_call()
        wire.clock.sleep(LATENCY_SECONDS)
        call = _Call(request)
        answer = wire.service.answer(call.request)
        if wire.bare:
            answer = dataclasses.replace(answer, text=_stripped(answer.text, wire.bare))
        try:
            response = _received(answer, timeout[1], wire.clock)
        except requests.RequestException as error:
            self._note(call, 0, answer.text, type(error).__name__)
            raise
        self._note(call, response.status_code, answer.text, "")
        return response

    def _note(self, call: _Call, status: int, body: str, failure: str) -> None:
        wire, schedule = self._wire, self._wire.schedule
        triggered = tuple(schedule.triggered)
        # Changes to one conversation of a list leave the list itself intact.
        is_honest = status == 200 and all(
            each.name in HONEST or each.name in LEADING_BACK or each.is_of_one_row for each in triggered
        )
        wire.sent.append(
            Sent(
                schedule.call_number,
                wire.attempt,
                wire.clock.now,
                wire.phase,
                call.route,
                call.object_id,
                call.folder,
                call.limit,
                status,
                triggered,
                tuple(schedule.habits_met),
                is_honest and call.route == "conversations" and self._ends_list(call, body),
                failure == requests.ReadTimeout.__name__,
            )
        )
        if wire.trace is not None:
            met = f" [{', '.join(each.name for each in triggered)}]" if triggered else ""
            wire.trace(
                f"call {schedule.call_number} at {wire.clock.now - START - 86_400:.0f} s: {wire.phase} {call.shown}"
                f" -> {failure or status}{met} {_shown(body) if status else ''}"
            )
        wire.after_call(schedule.call_number)

    def _ends_list(self, call: _Call, text: str) -> bool:
        """Whether a correct response shows that nothing in the window follows."""
        body = orjson.loads(text)
        rows = body.get("data")
        if not isinstance(rows, list) or None in rows:
            return False
        last = rows[-1] if rows else None
        thread = None if last is None else self._wire.service.world.threads.get(last["id"])
        triggered = {each.name for each in self._wire.schedule.triggered}
        if triggered & LEADING_BACK:
            # Some lists end like this: the last page, or an empty one after it, names itself.
            return self._is_oldest(thread) if thread is not None else not rows and "empty_page" not in triggered
        following = body.get("paging", {}).get("next")
        if following is None:
            return True
        own = call.request.parameters.get("after")
        if own is not None and dict(parse_qsl(urlsplit(following).query)).get("after") == own:
            return True
        # A single old row proves nothing, but if the walk relies on it, the check of the messages finds what is lost.
        return thread is not None and thread.updated_time < self._wire.since

    def _is_oldest(self, thread: Thread) -> bool:
        threads = self._wire.service.world.threads.values()
        return not any(each.folder == thread.folder and each.key < thread.key for each in threads)


class _Call:
    """A request of ``GraphClient``, in the emulator's form."""

    def __init__(self, request: Any) -> None:
        path = urlsplit(request.url).path
        parts = path.split("/")[2:]
        parameters = dict(request.params)
        self.object_id = parts[0]
        self.route = parts[1] if len(parts) > 1 else "object"
        self.folder = parameters.get("folder")
        self.limit = int(parameters.get("limit", 0))
        nested = _NESTED.search(parameters.get("fields", ""))
        place = parameters.get("after") or parameters.get("__paging_token") or ""
        self.shown = (
            f"{'/'.join(parts)} {self.folder or ''} limit={self.limit or '-'}"
            f"{f' nested={nested[1]}' if nested else ''}{f' after={place[:24]}' if place else ''}"
        )
        token = request.headers.get("Authorization", "")[7:]
        # The text of the query is not used here, and encoding it would cost as much as the response.
        self.request = Request(path, path, parameters, token, ORIGIN)


def _received(answer: Answer, timeout: float, clock: VirtualClock) -> Response:
    """The response that the client gets; raises what ``requests`` raises."""
    if answer.delay_seconds > timeout:
        clock.sleep(timeout)
        raise requests.ReadTimeout("no answer")
    clock.sleep(answer.delay_seconds)
    data, headers = answer.text.encode(), {**answer.headers, "content-type": answer.content_type}
    if answer.transport_fault is None:
        return Response(answer.status, headers, data)
    match answer.transport_fault.outcome:
        case "redirect":
            return Response(302, {**headers, "location": answer.transport_fault.url}, b"")
        case "truncated_json":
            return Response(200, headers, data[: len(data) // 2])
        case "truncated_gzip":
            raise requests.exceptions.ContentDecodingError("incomplete gzip")
        case "reset_middle":
            raise requests.exceptions.ChunkedEncodingError("connection reset in the body")
    raise requests.ConnectionError("connection reset")


def _stripped(text: str, bare: Mapping[str, str]) -> str:
    """A response without the left-out values of bare messages."""
    for identifier, name in bare.items():
        own = f'"id":"{identifier}",'
        if name == "id":
            text = text.replace(own, "")
        else:
            text = re.sub(f'{own}"created_time":"[^"]*",?', own, text).replace(own + "}", own[:-1] + "}")
    return text


def _shown(text: str) -> str:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text[:60]
    if not isinstance(body, dict) or "data" not in body:
        return text[:160] if "error" in text[:20] else "an object"
    names = [_row(row) for row in body["data"]]
    query = dict(parse_qsl(urlsplit(body.get("paging", {}).get("next", "")).query))
    following = query.get("after") or query.get("__paging_token")
    return f"{len(names)} rows: {' '.join(names)[:200]}" + (
        f" next={following[:24]}" if following else ", the last page"
    )


def _row(row: Any) -> str:
    if not isinstance(row, dict):
        return str(row)
    nested = row.get("messages")
    return str(row.get("id"))[:24] + (f"({len(nested.get('data', []))})" if isinstance(nested, dict) else "")
