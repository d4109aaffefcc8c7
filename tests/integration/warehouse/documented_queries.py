"""The queries of docs/operations/completeness.md, as users copy them."""

import re

from local_servers.pinned_environment import REPOSITORY

PARTIAL_WINDOWS = "Which windows are partial"
MISSED_BY_WINDOW = "What was missed, by window"
MISSING_TODAY = "What is missing today, and why"
CLOSED_GAPS = "Which gaps were closed, and by which window"

_SECTION = re.compile(r"^## (?P<title>.+?)\n(?:(?!^## ).)*?```sql\n(?P<query>.+?)\n```", re.DOTALL | re.MULTILINE)


def documented_queries():
    """The text of each query, by the title of its section."""
    text = (REPOSITORY / "docs" / "operations" / "completeness.md").read_text("utf-8")
    return {match["title"]: match["query"] for match in _SECTION.finditer(text)}
