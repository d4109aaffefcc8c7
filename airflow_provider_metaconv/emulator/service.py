"""The emulator without HTTP: a request in, an answer out; limits, faults, tokens and routes in Graph's order."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import edges
from .accounts import AccountRoutes
from .calls import Call, Request, read_call
from .counters import Statistics
from .errors import ERRORS, GraphError
from .faults import Fault, FaultBook, Reading
from .jsontext import to_json
from .limits import FULL, Limiter, Usage
from .messages import Context
from .paging import DEFAULT_LIMIT
from .rewrites import rewrite
from .settings import EmulatorSettings
from .tokens import Token, TokenBook, check_proof
from .usage import usage_headers
from .world import World

RATE_LIMIT_CODES = frozenset({4, 17, 32, 341, 613, 80001, 80002, 80006})
UNESTIMATED_CODES = frozenset({613})


@dataclass(frozen=True)
class Answer:
    """What goes back over HTTP; ``wire`` is a fault that the connection itself has to carry out."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    wire: Fault | None = None


class GraphService:
    """One emulated Graph API: its world, its tokens, its limits, its faults and its counters."""

    def __init__(self, world: World, settings: EmulatorSettings) -> None:
        self.world = world
        self.settings = settings
        self.tokens = TokenBook(world.pages, settings.pages_without_role, settings.app_secret, settings.clock)
        self.limiter = Limiter(settings)
        self.faults = FaultBook()
        self.statistics = Statistics()
        self._graph_calls = 0
        self._arrivals = 0
        self._routes: Mapping[str, Callable[[Call, edges.Reader], str]] = {
            "conversations": edges.conversations,
            "conversation": edges.conversation,
            "messages": edges.messages,
            "message": edges.message,
            "attachments": edges.attachments,
            **AccountRoutes(self.tokens, settings).routes,
        }

    def answer(self, request: Request) -> Answer:
        """Answer one Graph call; the world does not change meanwhile."""
        with self.world.lock:
            answer = self._answer(request)
            self._let_messages_arrive()
        return answer

    def now(self) -> float:
        """Return the time by which limits and blocks run."""
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
            return self._refusal(call, error, None, delay)
        fault = self.faults.strike(call)
        if fault is not None:
            self.statistics.count_fault(fault.name)
        return self._carry_out(call, fault, delay)

    def _carry_out(self, call: Call, fault: Fault | None, delay: float) -> Answer:
        """Return the answer of an admitted call, with the fault that strikes it."""
        if fault is None:
            return self._read(call, None, delay)
        if fault.kind.stage == "error":
            row = ERRORS[fault.name]
            error = GraphError(fault.status or row.status, row.body)
            return self._refusal(call, error, fault, delay)
        if fault.name == "hang":
            return self._read(call, fault, delay + fault.delay_seconds)
        if fault.name == "short_page":
            limit = call.parameters.get("limit", str(DEFAULT_LIMIT))
            half = str(max(1, int(limit) // 2)) if limit.isdecimal() else limit
            return self._read(dataclasses.replace(call, parameters={**call.parameters, "limit": half}), fault, delay)
        answer = self._read(call, fault, delay)
        if answer.status != 200:
            return answer
        if fault.kind.stage == "wire":
            return dataclasses.replace(answer, wire=fault)
        return dataclasses.replace(answer, text=rewrite(fault, call, answer.text))

    def _read(self, call: Call, fault: Fault | None, delay: float) -> Answer:
        try:
            token = self.tokens.find(call.token)
            proof = call.parameters.get("appsecret_proof")
            check_proof(self.settings.app_secret, token.value, proof, required=self.settings.require_proof)
            text = self._routes[call.route](call, self._reader(call, token))
        except GraphError as error:
            return self._refusal(call, error, None, delay)
        headers = usage_headers(call, self._usage(call, fault), self.settings.usage_floor)
        return Answer(200, text, self._traced(call, headers), delay)

    def _reader(self, call: Call, token: Token) -> edges.Reader:
        def refuse(reading: Reading) -> None:
            rule = self.faults.refuse(call, reading)
            if rule is not None:
                self.statistics.count_fault(rule.name)
                raise GraphError(rule.status or ERRORS["1"].status, ERRORS["1"].body)

        with_time = self.settings.instagram_old_rows == "id_and_time"
        return edges.Reader(self.world, token, refuse, Context(call.base_url, token.value, with_time))

    def _refusal(self, call: Call, error: GraphError, fault: Fault | None, delay: float) -> Answer:
        """Return an error answer; a fault with block_seconds makes the error last."""
        code = error.body["error"]["code"]
        now = self.now()
        if fault is not None and fault.block_seconds:
            self.limiter.block(call, error, now + fault.block_seconds, now)
        self.statistics.count_error(error.label)
        usage = self._usage(call, fault, code)
        headers = usage_headers(call, usage, self.settings.usage_floor, code)
        return Answer(error.status, to_json(error.body), self._traced(call, headers), delay)

    def _usage(self, call: Call, fault: Fault | None, code: int | None = None) -> Usage:
        usage = self.limiter.usage(call, self.now())
        app, page, minutes = usage.app, usage.page, usage.regain_minutes
        if code in (4, 17, 341):
            app = max(app, FULL)
        elif code in RATE_LIMIT_CODES and code not in UNESTIMATED_CODES:
            page = max(page, FULL)
        if fault is not None and fault.name == "usage":
            page = fault.percent
        if fault is not None and fault.regain_minutes is not None:
            minutes = fault.regain_minutes
        elif fault is not None and fault.block_seconds:
            minutes = math.ceil(fault.block_seconds / 60)
        return Usage(app, page, minutes)

    def _traced(self, call: Call, headers: dict[str, str]) -> dict[str, str]:
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
        plan = self.settings.call_arrivals
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
        """Return the statistics with the current blocks."""
        with self.world.lock:
            now = self.now()
            return self.statistics.report(self.limiter.blocks(now), now)
