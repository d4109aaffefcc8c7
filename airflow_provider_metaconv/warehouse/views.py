"""The analytics views: the question that each answers, its columns, and the parts of its SQL that options determine.

The SQL is in the warehouses' ``templates``, one file per view and warehouse. Tests keep both equal.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import Any

from airflow_provider_metaconv.warehouse.view_options import ViewOptions

_PLATFORM = ("platform", "text", "MESSENGER or INSTAGRAM.")
_PAGE = ("page_id", "text", "ID of the Facebook Page.")
_CONVERSATION = ("conversation_id", "text", "ID of the conversation.")
_ASKED = "Inbound messages of the turn."
_UNTIL = (
    "covered_until",
    "timestamp",
    "Until when the Page's messages are known, in UTC; null if no complete window was loaded.",
)


@dataclass(frozen=True, slots=True)
class View:
    """A view: its name, the question it answers, and its columns as name, type and description."""

    name: str
    question: str
    columns: tuple[tuple[str, str, str], ...]

    @property
    def template(self) -> str:
        """The file name of its SQL."""
        return f"view_{self.name}.sql"

    @property
    def description(self) -> str:
        """The text that a warehouse shows for it, which also marks it as one of these views."""
        return f"{self.question} {MARK}"


MARK = "A view of airflow-provider-metaconv."
"""The end of every view's description. A view without it belongs to somebody else."""

VIEWS = (
    View(
        "reply_times",
        "How long did each customer wait for an answer?",
        (
            _PLATFORM,
            _PAGE,
            _CONVERSATION,
            ("asked_time", "timestamp", "When the customer's turn began: its first inbound message, in UTC."),
            ("last_asked_time", "timestamp", "The last inbound message of the turn, in UTC."),
            ("messages", "integer", _ASKED),
            ("answered_time", "timestamp", "The first outbound message after it, in UTC; null if there is none."),
            ("minutes", "float", "From asked_time to answered_time; null if there is no answer."),
            ("bucket", "text", "0-1h, 1-4h, 4-8h, 8-24h or 24h+, by minutes; null if there is no answer."),
            ("asked_in_business_hours", "boolean", "Whether asked_time is within business hours; null without them."),
            (
                "business_minutes",
                "float",
                "The minutes within business hours; null without them or an answer.",
            ),
            _UNTIL,
            ("is_complete", "boolean", "Whether no message that could change the row can be missing."),
        ),
    ),
    View(
        "unanswered",
        "Who waits for an answer, and since when?",
        (
            _PLATFORM,
            _PAGE,
            _CONVERSATION,
            ("waiting_since", "timestamp", "The first inbound message without an answer, in UTC."),
            ("last_asked_time", "timestamp", "The last inbound message, in UTC."),
            ("messages", "integer", _ASKED),
            ("minutes", "float", "From waiting_since to covered_until; null if that is not later."),
            _UNTIL,
            ("is_complete", "boolean", "Whether there was certainly no answer until covered_until."),
        ),
    ),
    View(
        "sessions",
        "How many separate exchanges were there, and how long was each?",
        (
            _PLATFORM,
            _PAGE,
            _CONVERSATION,
            ("started_time", "timestamp", "The first message of the session, in UTC."),
            ("ended_time", "timestamp", "The last message of the session, in UTC."),
            ("minutes", "float", "From the first to the last message."),
            ("started_by", "text", "inbound, outbound or unknown: the direction of the first message."),
            ("messages", "integer", "All messages of the session."),
            ("messages_inbound", "integer", "Messages to the Page."),
            ("messages_outbound", "integer", "Messages from the Page."),
            ("is_complete", "boolean", "Whether the session is over, and no message of it can be missing."),
        ),
    ),
    View(
        "coverage",
        "Which days are known in full, and what is missing on the others?",
        (
            _PLATFORM,
            _PAGE,
            ("day", "date", "A day in the time zone of the views, from the first that is known to the last."),
            ("windows", "integer", "Windows that touch the day."),
            ("partial_windows", "integer", "Those of them that are partial."),
            ("covered_minutes", "float", "Minutes of the day that complete windows cover in every folder."),
            ("gaps", "integer", "Open gaps of conversations in windows that touch the day."),
            ("truncated", "integer", "Those of them that are truncated_by_platform."),
            ("unreadable", "integer", "Those of them that are unreadable."),
            ("has_history", "boolean", "Whether everything before the day is covered, from the first message on."),
            _UNTIL,
            ("is_complete", "boolean", "Whether the whole day is covered, and nothing is truncated or unreadable."),
        ),
    ),
    View(
        "daily_volume",
        "How many messages come in and go out each day, and how many conversations begin?",
        (
            _PLATFORM,
            _PAGE,
            ("day", "date", "As in coverage."),
            ("direction", "text", "inbound, outbound, or unknown if there are messages whose sender is unknown."),
            ("messages", "integer", "Messages on that day."),
            ("conversations", "integer", "Conversations with such messages."),
            (
                "conversations_started",
                "integer",
                "Conversations whose first message it is; null if earlier messages were not read.",
            ),
            ("is_complete", "boolean", "As in coverage, and no start of a conversation is uncertain."),
        ),
    ),
)
"""All views, each after those that it selects from."""


def template_values(options: ViewOptions) -> dict[str, Any]:
    """Return what the templates use of the options; durations are in microseconds."""
    length = _microseconds(options.closes - options.opens) if options.has_business_hours else 0
    lengths = [length if day in options.business_weekdays else 0 for day in range(7)]
    day = timedelta(days=1)
    return {
        "session_gap": _microseconds(options.session_gap),
        "has_business_hours": options.has_business_hours,
        "business_weekdays": options.business_weekdays,
        "opens": _microseconds(options.opens) if length else 0,
        "closes": _microseconds(options.closes) if length else 0,
        "business_day": length,
        "business_week": sum(lengths),
        "business_before": list(accumulate(lengths, initial=0)),
        "day": _microseconds(day),
        "week": _microseconds(7 * day),
        "first_monday": _microseconds(4 * day),
    }


def digest(statement: str) -> str:
    """Return a short fingerprint of a view's definition, which tells whether it has changed."""
    return hashlib.sha256(statement.encode()).hexdigest()[:16]


def taken_error(place: str, kind: str) -> str:
    """Return the one-line message for a name that somebody else's table or view has."""
    return f"{place} is a {kind} that this provider did not create: rename it, or set create_views=False"


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
