"""What ``GraphClient`` takes for a ``requests.Session``: the emulator, called in process, and what a network does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
import requests

from airflow_provider_metaconv.emulator.calls import Request
from airflow_provider_metaconv.emulator.opaque import to_cursor
from airflow_provider_metaconv.emulator.service import Answer, GraphService
from tests.simulation.clock import VirtualClock
from tests.simulation.faults import NOTHING_STRUCK, FaultSchedule, odd_answer
from tests.simulation.scenario import START, WorldPlan
from tests.simulation.storage import Process

ORIGIN = "https://graph.simulation"
LATENCY_SECONDS = 0.4
MOST_CALLS = 900
"""In one attempt; what asks for more will not end: the largest worlds take 200."""

END_OF_LIST = "RW5kT2ZMaXN0"
"""The cursor of the page without rows with which some lists end."""

START_OF_LIST = to_cursor(2**40, "0")
"""The cursor before all rows."""

PHASES = (
    "token",
    "list",
    "list, next",
    "ids only",
    "ids only, next",
    "conversation",
    "messages",
)
"""What a call is for, as far as that can be seen from outside."""

_NESTED = re.compile(r"messages\.limit\((\d+)\)")
_HTML = "<!DOCTYPE html><html><body>Sorry, something went wrong.</body></html>"


class EndlessError(BaseException):
    """An attempt has sent more calls than any sensible reader needs."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One call as an observer on the wire sees it; ``status`` is 0 where no answer came back.

    ``ends_list``: an honest answer to a call for conversations that was the last page, or only older than the window.
    """

    number: int
    attempt: int
    time: float
    phase: str
    object_id: str
    folder: str | None
    limit: int
    status: int
    fault: str
    fault_target: str | None
    ends_list: bool


@dataclass(slots=True)
class Response:
    """What ``GraphClient`` reads of a response."""

    status_code: int
    headers: dict[str, str]
    content: bytes


@dataclass
class Wire:
    """One emulated API with everything between it and the client."""

    service: GraphService
    schedule: FaultSchedule
    world: WorldPlan
    clock: VirtualClock
    since_text: str
    after_call: Callable[[int], None]
    trace: Callable[[str], None] | None = None
    sent: list[Sent] = field(default_factory=list)
    attempt: int = 0


class SimulatedSession(requests.Session):
    """The session of one attempt; its process may die at a call."""

    def __init__(self, wire: Wire, process: Process) -> None:  # no super().__init__: nothing of it is used
        self._wire, self._process = wire, process

    def merge_environment_settings(self, *_: Any) -> dict[str, Any]:  # type: ignore[override]
        return {}

    def prepare_request(self, request: Any) -> Any:
        # requests' own preparation takes longer than the emulator's whole answer.
        return request.auth(request)

    def send(self, request: Any, *, timeout: tuple[float, float], **_: Any) -> Any:  # type: ignore[override]
        self._process.call()
        if self._process.calls > MOST_CALLS:
            raise EndlessError
        wire = self._wire
        wire.schedule.next_call()
        wire.clock.sleep(LATENCY_SECONDS)
        call = _Call(request, wire.world)
        answer = wire.service.answer(call.request) if not call.is_behind_the_end else Answer(200, '{"data":[]}')
        body = answer.text
        if wire.schedule.odd_answer:
            body = orjson.dumps(odd_answer(wire.schedule.odd_answer, call.route, orjson.loads(body))).decode()
        elif call.tail != "none" and answer.status == 200 and not answer.wire:
            body = call.with_tail(body)
        try:
            response = _received(answer, body, timeout[1], wire.clock)
        except requests.RequestException as error:
            self._note(call, 0, body, type(error).__name__)
            raise
        self._note(call, response.status_code, body, "")
        return response

    def _note(self, call: _Call, status: int, body: str, failure: str) -> None:
        wire, schedule = self._wire, self._wire.schedule
        is_honest = status == 200 and (schedule.struck == NOTHING_STRUCK or schedule.struck in _HARMLESS)
        wire.sent.append(
            Sent(
                schedule.call_number,
                wire.attempt,
                wire.clock.now,
                call.phase,
                call.object_id,
                call.folder,
                call.limit,
                status,
                schedule.struck,
                schedule.struck_target,
                is_honest and call.route == "conversations" and _ends(body, wire.since_text),
            )
        )
        if wire.trace is not None:
            struck = f" [{schedule.struck}]" if schedule.struck else ""
            wire.trace(
                f"call {schedule.call_number} at {wire.clock.now - START - 86_400:.0f} s: {call.phase} {call.shown}"
                f" -> {failure or status}{struck} {_shown(body) if status else ''}"
            )
        wire.after_call(schedule.call_number)


_HARMLESS = frozenset(
    {"usage", "short_page", "empty_page", "unordered_page", "foreign_next", "hang", "messages_missing"}
)


class _Call:
    """A request of ``GraphClient``, as the emulator takes it, with the pages that the world imposes."""

    def __init__(self, request: Any, world: WorldPlan) -> None:
        path = urlsplit(request.url).path
        parts = path.split("/")[2:]
        parameters = dict(request.params)
        self.object_id = parts[0]
        self.route = parts[1] if len(parts) > 1 else "object"
        self.folder = parameters.get("folder")
        self.tail = {"conversations": world.list_tail, "messages": world.messages_tail}.get(self.route, "none")
        self.is_behind_the_end = parameters.get("after") == END_OF_LIST
        fields = parameters.get("fields", "")
        self.phase = _phase(self.route, self.object_id, fields, parameters.get("after"))
        self.limit = int(parameters.get("limit", 0))
        self.shown = f"{self.object_id} limit={self.limit or '-'}" + (
            f" nested={nested[1]}" if (nested := _NESTED.search(fields)) else ""
        )
        largest = {"conversations": world.list_page, "messages": world.messages_page}.get(self.route)
        if largest is not None and self.limit > largest:
            parameters["limit"] = str(largest)
        if world.messages_page is not None and fields:
            page = world.messages_page
            parameters["fields"] = _NESTED.sub(lambda m: f"messages.limit({min(int(m[1]), page)})", fields)
        token = request.headers.get("Authorization", "")[7:]
        self._url = f"{ORIGIN}{path}"
        self._parameters = parameters
        # Nobody matches the text of the query here, and to encode it would cost as much as the answer.
        self.request = Request(path, path, parameters, token, ORIGIN)

    def with_tail(self, text: str) -> str:
        """The answer, whose last page names another one where the world wants that."""
        if self.is_behind_the_end and self.tail == "empty":
            return text
        body = orjson.loads(text)
        if "data" not in body or body.get("paging", {}).get("next"):
            return text
        after = self._parameters.get("after", START_OF_LIST) if self.tail == "self" else END_OF_LIST
        cursors = {**body.get("paging", {}).get("cursors", {}), "after": after}
        link = f"{self._url}?{urlencode({**self._parameters, 'after': after})}"
        return orjson.dumps({**body, "paging": {"cursors": cursors, "next": link}}).decode()


def _phase(route: str, object_id: str, fields: str, after: str | None) -> str:
    if route == "conversations":
        kind = "list" if "messages" in fields else "ids only"
        return f"{kind}, next" if after else kind
    if route == "messages":
        return "messages"
    return "token" if "access_token" in fields or object_id == "me" or route == "accounts" else "conversation"


def _received(answer: Answer, body: str, timeout: float, clock: VirtualClock) -> Response:
    """The response that the client gets; raises what ``requests`` raises."""
    if answer.delay_seconds > timeout:
        clock.sleep(timeout)
        raise requests.ReadTimeout("no answer")
    clock.sleep(answer.delay_seconds)
    data, headers = body.encode(), answer.headers
    if answer.wire is None:
        return Response(answer.status, headers, data)
    match answer.wire.name:
        case "html_500":
            return Response(answer.wire.status or 500, headers, _HTML.encode())
        case "service_unavailable_200":
            return Response(200, headers, b"Service Unavailable")
        case "redirect":
            return Response(302, {**headers, "location": answer.wire.url}, b"")
        case "truncated_json":
            return Response(200, headers, data[: len(data) // 2])
        case "truncated_gzip":
            raise requests.exceptions.ContentDecodingError("incomplete gzip")
        case "reset_middle":
            raise requests.exceptions.ChunkedEncodingError("connection reset in the body")
    raise requests.ConnectionError("connection reset")


def _ends(text: str, since: str) -> bool:
    body = orjson.loads(text)
    rows = body.get("data")
    if not isinstance(rows, list):
        return False
    if not body.get("paging", {}).get("next"):
        return True
    # A single old row proves nothing, but what the walk loses by believing it, the messages themselves show.
    return bool(rows) and rows[-1].get("updated_time", "") < since


def _shown(text: str) -> str:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text[:60]
    if not isinstance(body, dict) or "data" not in body:
        return text[:160] if "error" in text[:20] else "an object"
    names = [_row(row) for row in body["data"]]
    following = dict(parse_qsl(urlsplit(body.get("paging", {}).get("next", "")).query)).get("after")
    return f"{len(names)} rows: {' '.join(names)[:200]}" + (
        f" next={following[:24]}" if following else ", the last page"
    )


def _row(row: Any) -> str:
    if not isinstance(row, dict):
        return str(row)
    nested = row.get("messages")
    return str(row.get("id"))[:24] + (f"({len(nested.get('data', []))})" if isinstance(nested, dict) else "")
