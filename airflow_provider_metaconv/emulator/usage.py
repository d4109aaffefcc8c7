"""The usage headers Graph sends with answers and errors alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .calls import Call
from .jsontext import to_json
from .limits import Usage

POOL_OF_CODE = {80001: "pages", 80002: "instagram"}
ADS_ACCOUNT_ID = "9000000000000009"


@dataclass(frozen=True)
class ForeignUsage:
    """The usage of another business object, or of another type of the same object."""

    object_id: str
    pool: str
    percent: int
    regain_minutes: int


def usage_headers(
    call: Call, usage: Usage, floor: int, code: int | None = None, foreign: Sequence[ForeignUsage] = ()
) -> dict[str, str]:
    """Return the usage headers of one answer; below ``floor`` percent there are none, as with Graph."""
    headers = {}
    if usage.app >= floor:
        headers["x-app-usage"] = to_json(
            {"call_count": usage.app, "total_cputime": usage.app // 3, "total_time": usage.app // 2}
        )
    objects: dict[str, list[dict[str, Any]]] = {}
    # Those of others stand first, so that nobody gets away with reading the first entry.
    for each in foreign:
        objects.setdefault(each.object_id, []).append(_pool(each.pool, each.percent, each.regain_minutes))
    if call.page_id is not None and (usage.page >= floor or usage.regain_minutes):
        default = "messenger" if call.is_conversation_api else "pages"
        pool = _pool(POOL_OF_CODE.get(code or 0, default), usage.page, usage.regain_minutes)
        objects.setdefault(call.page_id, []).append(pool)
    if objects:
        headers["x-business-use-case-usage"] = to_json(objects)
    return headers


def _pool(name: str, percent: int, regain_minutes: int) -> dict[str, Any]:
    return {
        "type": name,
        "call_count": percent,
        "total_cputime": percent // 3,
        "total_time": percent // 2,
        "estimated_time_to_regain_access": regain_minutes,
    }
