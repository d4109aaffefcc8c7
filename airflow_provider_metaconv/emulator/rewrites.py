"""Faults that change an ordinary answer: one function per fault, listed in `REWRITES`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from .calls import Call
from .faults import Fault
from .jsontext import to_json
from .opaque import from_cursor, to_cursor

FAR_FUTURE = 2**40


def rewrite(fault: Fault, call: Call, text: str) -> str:
    """Return the answer as the fault leaves it; an answer without a list stays as it is."""
    change = REWRITES.get(fault.name)
    body = json.loads(text)
    if change is None or "data" not in body:
        return text
    change(fault, call, body)
    return to_json(body)


def _empty_page(_: Fault, call: Call, body: dict[str, Any]) -> None:
    # The cursor looks new but stands where the call stood, so the rows follow on the next page.
    after = call.parameters.get("after")
    place, tie = from_cursor(after) if after else (FAR_FUTURE, "0")
    cursor = to_cursor(place, tie, f"empty {len(after or '')}")
    query = {"access_token": call.token or "", "pretty": "0", **call.parameters, "after": cursor}
    query.pop("appsecret_proof", None)
    route = f"{call.base_url}/{call.object_id}/{call.route}"
    body["data"] = []
    body["paging"] = {
        "cursors": {"before": cursor, "after": cursor},
        "next": f"{route}?{urlencode(query, quote_via=quote)}",
    }


def _repeated_cursor(_: Fault, call: Call, body: dict[str, Any]) -> None:
    same = call.parameters["after"]
    paging = body.setdefault("paging", {"cursors": {"before": same}})
    paging["cursors"]["after"] = same
    route = f"{call.base_url}/{call.object_id}/{call.route}"
    paging["next"] = f"{route}?{urlencode({**call.parameters, 'after': same}, quote_via=quote)}"


def _foreign_next(fault: Fault, _: Call, body: dict[str, Any]) -> None:
    following = body.get("paging", {}).get("next")
    if following is not None:
        parts, elsewhere = urlsplit(following), urlsplit(fault.url)
        query = urlencode(parse_qsl(parts.query), quote_via=quote)
        body["paging"]["next"] = urlunsplit((elsewhere.scheme, elsewhere.netloc, parts.path, query, ""))


def _no_paging_next(_: Fault, _call: Call, body: dict[str, Any]) -> None:
    body.get("paging", {}).pop("next", None)


def _unordered_page(_: Fault, _call: Call, body: dict[str, Any]) -> None:
    body["data"].reverse()


REWRITES: Mapping[str, Callable[[Fault, Call, dict[str, Any]], None]] = {
    "empty_page": _empty_page,
    "repeated_cursor": _repeated_cursor,
    "foreign_next": _foreign_next,
    "no_paging_next": _no_paging_next,
    "unordered_page": _unordered_page,
}
