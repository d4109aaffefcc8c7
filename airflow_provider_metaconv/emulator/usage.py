"""The usage headers Graph sends with answers and errors alike."""

from __future__ import annotations

from .calls import Call
from .jsontext import to_json
from .limits import Usage

POOL_OF_CODE = {80001: "pages", 80002: "instagram"}


def usage_headers(call: Call, usage: Usage, floor: int, code: int | None = None) -> dict[str, str]:
    """Return the usage headers of one answer; below ``floor`` percent there are none, as with Graph."""
    headers = {}
    if usage.app >= floor:
        headers["x-app-usage"] = to_json(
            {"call_count": usage.app, "total_cputime": usage.app // 3, "total_time": usage.app // 2}
        )
    if call.page_id is not None and (usage.page >= floor or usage.regain_minutes):
        default = "messenger" if call.is_conversation_api else "pages"
        pool = {
            "type": POOL_OF_CODE.get(code or 0, default),
            "call_count": usage.page,
            "total_cputime": usage.page // 3,
            "total_time": usage.page // 2,
            "estimated_time_to_regain_access": usage.regain_minutes,
        }
        headers["x-business-use-case-usage"] = to_json({call.page_id: [pool]})
    return headers
