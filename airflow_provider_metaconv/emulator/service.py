"""The emulated API without HTTP: checks limits, faults and tokens in Graph's order and answers each request."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import handlers
from .errors import ERRORS, JSON_TYPE, ODD_ANSWERS, GraphError
from .fault_injection import NOTHING_TRIGGERED, FaultRegistry, Triggered, change_answer, fault_error
from .faults import Fault
from .handlers import AccountRoutes
from .limits import ADS_ACCOUNT_ID, FULL, ForeignUsage, Limiter, Statistics, Usage, usage_headers
from .models import World
from .requests import Call, Reading, Request, read_call
from .serialization import Context, to_json
from .settings import EmulatorSettings
from .tokens import Token, TokenStore, check_proof

RATE_LIMIT_CODES = frozenset({4, 17, 32, 341, 613, 80001, 80002, 80006})
UNESTIMATED_CODES = frozenset({613})


@dataclass(frozen=True)
class Answer:
    """A response before it goes over HTTP.

    ``transport_fault`` is a fault that only the connection can produce. ``faults`` are all faults that the call
    triggered; tests read them, clients never see them.
    """

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    transport_fault: Fault | None = None
    content_type: str = JSON_TYPE
    faults: tuple[Fault, ...] = ()


class GraphService:
    """One emulated Graph API with its world, tokens, limits, faults and statistics."""

    def __init__(self, world: World, settings: EmulatorSettings) -> None:
        self.world = world
        self.settings = settings
        self.tokens = TokenStore(world.pages, settings.pages_without_role, settings.app_secret, settings.clock)
        self.limiter = Limiter(settings)
        self.faults = FaultRegistry(settings.clock)
        self.statistics = Statistics()
        self._graph_calls = 0
        self._arrivals = 0
        self._routes: Mapping[str, Callable[[Call, handlers.Reader], str]] = {
            "conversations": handlers.conversations,
            "conversation": handlers.conversation,
            "messages": handlers.messages,
            "participants": handlers.participants,
            "message": handlers.message,
            "attachments": handlers.attachments,
            **AccountRoutes(self.tokens, settings).routes,
        }

    def answer(self, request: Request) -> Answer:
        """Answer one Graph call while the world is locked."""
        with self.world.lock:
            answer = self._answer(request)
            self._let_messages_arrive()
        return answer

    def now(self) -> float:
        """Return the emulator's current time in epoch seconds."""
        return self.settings.clock()

    def _answer(self, request: Request) -> Answer:
        delay = self.settings.latency_ms / 1_000
        try:
            call = read_call(request, self.world, self._page_of(request.token))
        except GraphError as error:
            self.statistics.count_unreadable()
            self.statistics.count_error(error.label)
            return Answer(error.status, to_json(error.body), delay_seconds=delay)
        now = self.now()
        self.statistics.count_call(call, now)
        try:
            self.limiter.admit(call, now)
        except GraphError as error:
            return self._refusal(call, error, NOTHING_TRIGGERED, delay)
        triggered = self.faults.trigger(call, self.world, now)
        answer = self._carry_out(call, triggered, delay)
        if triggered is NOTHING_TRIGGERED:
            return answer
        for fault in triggered.faults:
            self.statistics.count_fault(fault.name)
        return dataclasses.replace(answer, faults=triggered.faults)

    def _carry_out(self, call: Call, triggered: Triggered, delay: float) -> Answer:
        """Return the answer to an admitted call, with its faults applied."""
        fault = triggered.decisive
        if fault is not None and fault.outcome in ERRORS:
            error = fault_error(fault, call, Reading(call, self.world, triggered.shapes))
            return self._refusal(call, error, triggered, delay)
        if fault is not None and fault.outcome in ODD_ANSWERS:
            odd = ODD_ANSWERS[fault.outcome]
            headers = self._headers(call, self._usage(call, triggered), triggered)
            return Answer(fault.status or odd.status, odd.text, headers, delay, content_type=odd.content_type)
        if fault is not None and fault.outcome == "hang":
            delay += fault.delay_seconds
        answer = self._read(call, triggered, delay)
        if answer.status != 200:
            return answer
        if triggered.changes:
            answer = dataclasses.replace(answer, text=change_answer(triggered.changes, call, answer.text))
        if fault is not None and fault.outcome != "hang":
            answer = dataclasses.replace(answer, transport_fault=fault)
        return answer

    def _read(self, call: Call, triggered: Triggered, delay: float) -> Answer:
        try:
            token = self.tokens.find(call.token)
            proof = call.parameters.get("appsecret_proof")
            check_proof(self.settings.app_secret, token.value, proof, required=self.settings.require_proof)
            text = self._routes[call.route](call, self._reader(call, token, triggered))
        except GraphError as error:
            return self._refusal(call, error, triggered, delay)
        headers = self._headers(call, self._usage(call, triggered), triggered)
        return Answer(200, text, headers, delay)

    def _reader(self, call: Call, token: Token, triggered: Triggered) -> handlers.Reader:
        with_time = self.settings.instagram_old_rows == "id_and_time"
        context = Context(call.base_url, token.value, with_time, triggered.shapes)
        return handlers.Reader(self.world, token, context)

    def _refusal(self, call: Call, error: GraphError, triggered: Triggered, delay: float) -> Answer:
        """Return an error; a fault with block_seconds keeps returning it until the block ends."""
        code = error.body["error"]["code"]
        fault = triggered.decisive
        if fault is not None and fault.block_seconds:
            now = self.now()
            self.limiter.block(call, error, now + fault.block_seconds, now)
        self.statistics.count_error(error.label)
        headers = self._headers(call, self._usage(call, triggered, code), triggered, code)
        return Answer(error.status, to_json(error.body), headers, delay)

    def _usage(self, call: Call, triggered: Triggered, code: int | None = None) -> Usage:
        usage = self.limiter.usage(call, self.now())
        app, page, minutes = usage.app, usage.page, usage.regain_minutes
        if code in (4, 17, 341):
            app = max(app, FULL)
        elif code in RATE_LIMIT_CODES and code not in UNESTIMATED_CODES:
            page = max(page, FULL)
        said = next((fault for fault in triggered.headers if fault.name == "usage"), None)
        fault = said or triggered.decisive
        if said is not None:
            page = said.percent
        if fault is not None and fault.regain_minutes is not None:
            minutes = fault.regain_minutes
        elif fault is not None and fault.block_seconds:
            minutes = math.ceil(fault.block_seconds / 60)
        return Usage(app, page, minutes)

    def _headers(self, call: Call, usage: Usage, triggered: Triggered, code: int | None = None) -> dict[str, str]:
        foreign = [
            ForeignUsage(fault.object_id or ADS_ACCOUNT_ID, fault.pool, fault.percent, fault.regain_minutes or 0)
            for fault in triggered.headers
            if fault.name == "foreign_usage"
        ]
        headers = usage_headers(call, usage, self.settings.usage_floor, code, foreign)
        trace = f"Emu{self._graph_calls:08d}"
        return {"facebook-api-version": call.version, "x-fb-trace-id": trace, "x-fb-rev": "1", **headers}

    def _page_of(self, token: str | None) -> str | None:
        try:
            found, _ = self.tokens.known(token or "")
        except KeyError:
            return None
        return found.owner_id if found.kind == "PAGE" else None

    def _let_messages_arrive(self) -> None:
        self._graph_calls += 1
        plan = self.settings.live_traffic
        if plan is None or self._graph_calls % plan.every_calls:
            return
        if plan.times is not None and self._arrivals >= plan.times:
            return
        self._arrivals += 1
        self.world.arrive(
            plan.messages,
            seed=plan.seed * 1_000_003 + self._arrivals,
            page_id=plan.page_id,
            platform=plan.platform,
            new_thread_share=plan.new_thread_share,
        )

    def report(self) -> dict[str, Any]:
        """Return the statistics and the current blocks as a JSON-ready dict."""
        with self.world.lock:
            now = self.now()
            return self.statistics.report(self.limiter.blocks(now), now)
