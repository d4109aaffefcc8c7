"""Whole answers that are no Graph errors: pages of HTML, and bodies of HTTP 200 that hold nothing asked for."""

from __future__ import annotations

from dataclasses import dataclass

JSON_TYPE = "application/json; charset=UTF-8"
HTML_TYPE = "text/html; charset=utf-8"


@dataclass(frozen=True)
class OddAnswer:
    """One answer as it is sent, and what it is."""

    status: int
    text: str
    description: str
    content_type: str = HTML_TYPE


def _html(status: int, title: str, text: str) -> OddAnswer:
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{text}</body></html>"
    return OddAnswer(status, page, f"HTTP {status} with an HTML page")


ODD_ANSWERS: dict[str, OddAnswer] = {
    "html_400": _html(400, "Error", "Sorry, something went wrong."),
    "html_500": _html(500, "Error", "Sorry, something went wrong."),
    "html_502": _html(502, "502 Bad Gateway", "<h1>Bad Gateway</h1>"),
    "html_504": _html(504, "504 Gateway Time-out", "<h1>Gateway Time-out</h1>"),
    "service_unavailable_200": OddAnswer(200, "Service Unavailable", "HTTP 200 with the text Service Unavailable"),
    "old_style_error": OddAnswer(
        200,
        '{"error_code":1,"error_msg":"An unknown error occurred"}',
        "HTTP 200 with error_code and error_msg, as errors were written long ago",
        JSON_TYPE,
    ),
    "empty_object": OddAnswer(200, "{}", "HTTP 200 with an empty object", JSON_TYPE),
}
