"""The admin API under ``/_emulator/``: ground truth, statistics, faults, arrivals, tokens and an index page."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from .faults import Fault
from .models import PLATFORMS, GroundTruth, ground_truth
from .service import GraphService
from .tokens import SYSTEM_USER_TOKEN, USER_TOKEN

STYLE = "body{font-family:sans-serif;max-width:60em;margin:2em auto}td,th{padding:.2em 1em;text-align:left}"


class Admin:
    """The admin API of one emulated Graph API. Its calls do not count as Graph calls."""

    def __init__(self, service: GraphService) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Return the routes to mount under ``/_emulator``."""
        return [
            Route("/", self.index),
            Route("/health", self.health),
            Route("/ground_truth", _clear(self.ground_truth)),
            Route("/statistics", self.statistics),
            Route("/faults", _clear(self.faults), methods=["GET", "POST", "DELETE"]),
            Route("/arrivals", _clear(self.arrivals), methods=["POST"]),
            Route("/unsent", _clear(self.unsent), methods=["POST"]),
            Route("/tokens", _clear(self.tokens), methods=["GET", "POST"]),
        ]

    async def index(self, request: Request) -> Response:
        """Show the index page."""
        return HTMLResponse(index_page(self._service, str(request.base_url).rstrip("/").removesuffix("/_emulator")))

    async def health(self, _: Request) -> Response:
        """Report that the emulator is up, and the size of its world."""
        world = self._service.world
        counts = {"pages": len(world.pages), "threads": len(world.threads), "messages": len(world.messages)}
        return JSONResponse({"status": "ok", **counts})

    async def ground_truth(self, request: Request) -> Response:
        """Return the ground truth, for every Page and platform unless the query names one."""
        query = request.query_params
        page_ids = [query["page_id"]] if "page_id" in query else list(self._service.world.pages)
        platforms = [query["platform"]] if "platform" in query else list(PLATFORMS)
        since, until = (query.get(name, "").replace(" ", "+") or None for name in ("since", "until"))
        folder = query.get("folder", "inbox")
        with_ids = query.get("ids", "false").lower() == "true"
        rows = [
            _ground_truth_row(
                ground_truth(self._service.world, page_id, platform, since, until, folder), with_ids=with_ids
            )
            for page_id in page_ids
            for platform in platforms
        ]
        return JSONResponse(rows[0] if "page_id" in query and "platform" in query else rows)

    async def statistics(self, _: Request) -> Response:
        """Return the statistics and the current blocks."""
        return JSONResponse(self._service.report())

    async def faults(self, request: Request) -> Response:
        """List the faults; POST adds one or a list of them, DELETE removes all of them and the blocks they caused."""
        registry = self._service.faults
        if request.method == "POST":
            body = await _json(request)
            faults = [Fault.from_mapping(row) for row in (body if isinstance(body, list) else [body])]
            for fault in faults:
                registry.add(fault)
        if request.method == "DELETE":
            registry.clear()
            self._service.limiter.clear_blocks()
        return JSONResponse(registry.rows())

    async def arrivals(self, request: Request) -> Response:
        """Let messages arrive and return their IDs; ``created_time`` defaults to now and is never later than now."""
        body = await _json(request)
        count, seed = int(body.pop("messages", 1)), int(body.pop("seed", 1))
        now = self._service.now()
        created_time = body.pop("created_time", None)
        created_time = now if created_time is None else created_time
        return JSONResponse({"message_ids": self._service.world.arrive(count, seed, created_time, **body, latest=now)})

    async def unsent(self, request: Request) -> Response:
        """Unsend the message ``message_id``; if ``vanish`` is false, its ID and time remain."""
        body = await _json(request)
        self._service.world.unsend(str(body["message_id"]), vanish=bool(body.get("vanish", True)))
        return JSONResponse({"message_id": body["message_id"]})

    async def tokens(self, request: Request) -> Response:
        """List the Page tokens; POST expires, restores, rotates or describes one, given by its value or Page."""
        if request.method == "POST":
            change_tokens(self._service, await _json(request))
        return JSONResponse({"page_tokens": self._service.tokens.page_tokens})


def change_tokens(service: GraphService, body: Mapping[str, Any]) -> None:
    """Expire, restore, rotate or describe a token; raises ValueError for a bad request.

    ``{"expire": <token or true>, "page_id": …, "subcode": …}``, and likewise ``restore`` and ``rotate``. To set
    permissions and expiry times: ``{"describe": <token or true>, "page_id": …, "expires_at": …,
    "data_access_expires_at": …, "permissions": […], "targets": {…}}``. Times are ISO 8601 or epoch seconds, 0 for
    never.
    """
    actions = [name for name in ("expire", "restore", "rotate", "describe") if body.get(name)]
    if len(actions) != 1:
        raise ValueError("the body must contain exactly one of expire, restore, rotate and describe")
    action, store = actions[0], service.tokens
    page_id = str(body.get("page_id", ""))
    value = body[action] if isinstance(body[action], str) else store.page_tokens.get(page_id, "")
    if action == "rotate":
        store.rotate(page_id, body.get("subcode", 460))
    elif action == "expire":
        store.expire(value, body.get("subcode", 463))
    elif action == "describe":
        store.describe(value, {name: body[name] for name in body if name not in ("describe", "page_id")})
    else:
        store.restore(value)


def _ground_truth_row(found: GroundTruth, *, with_ids: bool) -> dict[str, Any]:
    row = {name: getattr(found, name) for name in ("page_id", "platform", "conversations", "messages", "unavailable")}
    if with_ids:
        row["message_ids"] = sorted(found.message_ids)
        row["unavailable_ids"] = sorted(found.unavailable_ids)
    return row


async def _json(request: Request) -> Any:
    text = await request.body()
    return json.loads(text) if text.strip() else {}


def _clear(route: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return the route with bad input reported as HTTP 400 and a one-line error."""

    async def answer(request: Request) -> Response:
        try:
            return await route(request)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return answer


def index_page(service: GraphService, url: str) -> str:
    """Return the index page as HTML; all its tokens and secrets are test values."""
    world, tokens = service.world, service.tokens.page_tokens
    rows = "".join(
        f"<tr><td>{escape(page.id)}</td><td>{escape(page.name)}</td><td><code>{escape(tokens[page.id])}</code></td>"
        + "".join(f"<td>{len(world.all_conversations(page.id, platform)):,}</td>" for platform in PLATFORMS)
        + "</tr>"
        for page in world.pages.values()
    )
    commands = "\n".join(escape(line) for line in example_commands(service, url))
    return (
        f"<!DOCTYPE html><html><head><title>Graph API emulator</title><style>{STYLE}</style></head><body>"
        "<h1>Graph API emulator</h1><p>A local emulator of Meta's Conversations API. "
        "All people and tokens are made up.</p>"
        f"<p>User token <code>{USER_TOKEN}</code>, system user token <code>{SYSTEM_USER_TOKEN}</code>, "
        f"app secret <code>{escape(service.settings.app_secret)}</code>.</p>"
        "<table><tr><th>Page</th><th>Name</th><th>Page token</th><th>Messenger threads</th>"
        f"<th>Instagram threads</th></tr>{rows}</table>"
        f"<p>{len(world.messages):,} messages.</p><h2>Try</h2><pre>{commands}</pre></body></html>"
    )


def example_commands(service: GraphService, url: str) -> list[str]:
    """Return curl commands that work as written."""
    page_id, token = next(iter(service.tokens.page_tokens.items()))
    fields = "id,updated_time,messages.limit(5){id,created_time,from,message}"
    bearer = f"-H 'Authorization: Bearer {token}'"
    return [
        f"curl '{url}/v26.0/me/accounts?access_token={USER_TOKEN}'",
        f"curl -g {bearer} '{url}/v26.0/{page_id}/conversations?platform=MESSENGER&limit=3&fields={fields}'",
        f"curl '{url}/_emulator/ground_truth'",
        f"curl '{url}/_emulator/statistics'",
        f"""curl '{url}/_emulator/faults' -d '{{"name": "80006", "times": 1, "block_seconds": 60}}'""",
        f"""curl '{url}/_emulator/arrivals' -d '{{"messages": 10, "seed": 7}}'""",
        f"curl -X DELETE '{url}/_emulator/faults'",
    ]
