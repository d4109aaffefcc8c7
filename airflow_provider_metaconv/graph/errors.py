"""The errors of the Graph API, grouped by what to do next.

GraphError                    any refused call; an unknown code stays this class and is retried
├── RateLimitError            wait ``retry_after`` seconds, and send nothing meanwhile
├── TransientError            retry with back-off
│   └── UnexpectedResponseError   a success without the requested data
│       └── UnexpectedRowsError   a list in which some rows are not objects
├── TooMuchDataError          request less
│   └── LimitTooHighError     request at most ``maximum`` rows
├── CursorError               start the list again
├── ItemUnavailableError      skip this object
├── TokenError                someone must renew the token
├── PermissionDeniedError     someone must grant the permission
├── BlockedError              someone must check the account
└── InvalidRequestError       someone must correct the request or the connection
    └── FieldRefusedError     leave the field out

``error_rules`` maps codes to classes. All other modules decide by class, ``action`` and ``scope``, never by code.
"""

from __future__ import annotations

import copy
import re
from enum import StrEnum
from typing import Any, ClassVar, Final, Self

from airflow_provider_metaconv.graph.limits import NO_USAGE, Usage
from airflow_provider_metaconv.graph.redaction import scrub


class Action(StrEnum):
    """What the caller does next."""

    WAIT = "wait"
    """Send nothing for ``retry_after`` seconds, then repeat the call."""
    RETRY = "retry"
    """Repeat the call after a while."""
    ASK_LESS = "ask_less"
    """Request fewer rows or fields."""
    SKIP = "skip"
    """Skip this object, and record it."""
    FAIL = "fail"
    """Stop: someone must change something."""


class ErrorScope(StrEnum):
    """How much an error affects. Everything outside it can still be read."""

    CALL = "call"
    CONVERSATION = "conversation"
    PAGE = "page"
    APP = "app"


class GraphError(Exception):
    """The Graph API refused a call. ``str()`` is one line that says what happened and what to do, without secrets.

    ``code`` and ``subcode`` are Meta's (None without a Graph error), ``http_status`` is the response's status,
    ``fbtrace_id`` is for Meta's support, and ``usage`` holds the limits that the response reported. ``meta_message``,
    ``user_title`` and ``user_message`` are Meta's own texts, with all secrets scrubbed. Errors are immutable, because
    several threads may share one.
    """

    default_action: ClassVar[Action] = Action.RETRY
    default_scope: ClassVar[ErrorScope] = ErrorScope.CALL
    is_repeatable: ClassVar[bool] = True
    """Whether the same call can succeed later, so that a client may retry it."""

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        subcode: int | None = None,
        fbtrace_id: str | None = None,
        http_status: int | None = None,
        action: Action | None = None,
        scope: ErrorScope | None = None,
        meta_message: str = "",
        user_title: str = "",
        user_message: str = "",
        usage: Usage = NO_USAGE,
    ) -> None:
        message = scrub(message)
        super().__init__(message)
        self.message: Final = message
        self.code: Final = code
        self.subcode: Final = subcode
        self.fbtrace_id: Final = None if fbtrace_id is None else scrub(fbtrace_id)
        self.http_status: Final = http_status
        self.action: Final = action or self.default_action
        self.scope: Final = scope or self.default_scope
        self.meta_message: Final = scrub(meta_message)
        self.user_title: Final = scrub(user_title)
        self.user_message: Final = scrub(user_message)
        self.usage: Final = usage

    def __setattr__(self, name: str, value: Any) -> None:
        # Python itself sets the traceback, cause and context.
        if name in vars(self) and not name.startswith("__"):
            raise AttributeError(f"{name} of an error cannot be changed")
        super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        vars(self).update(state or {})

    def __str__(self) -> str:
        if self.code is None:
            return self.message
        subcode = "" if self.subcode is None else f"/{self.subcode}"
        trace = "" if self.fbtrace_id is None else f" (fbtrace_id {self.fbtrace_id})"
        return f"[{self.code}{subcode}] {self.message}{trace}"

    @property
    def kind(self) -> str:
        """A key for counting errors with the same cause."""
        return f"{type(self).__name__} {self.code}/{self.subcode}"

    @property
    def retry_after(self) -> float:
        """Seconds in which nothing may be sent; 0 except for rate limits."""
        return 0.0

    @property
    def meta_text(self) -> str:
        """All of Meta's texts, in one line."""
        return " ".join(filter(None, (self.meta_message, self.user_title, self.user_message)))

    def as_page_error(self) -> GraphError:
        """Return the error to raise if the Page itself was requested: without it, nothing else can be read."""
        return self

    def fresh(self) -> Self:
        """Return an equal error without a traceback, to raise later or in another thread."""
        return copy.copy(self)


class RateLimitError(GraphError):
    """A limit is reached: send nothing to ``bucket`` for ``retry_after`` seconds.

    ``is_estimate`` says whether the wait is Meta's own estimate; otherwise it is the table's first guess.
    """

    default_action = Action.WAIT
    default_scope = ErrorScope.PAGE

    def __init__(
        self, message: str, *, retry_after: float = 0.0, bucket: str = "", is_estimate: bool = False, **details: Any
    ) -> None:
        super().__init__(message, **details)
        self._retry_after = retry_after
        self.bucket: Final = bucket
        self.is_estimate: Final = is_estimate

    @property
    def retry_after(self) -> float:
        """Seconds in which nothing may be sent."""
        return self._retry_after

    def with_wait(self, seconds: float) -> RateLimitError:
        """Return a new error with that wait, counted from now."""
        error = self.fresh()
        vars(error)["_retry_after"] = seconds
        return error


class TransientError(GraphError):
    """A temporary failure of Meta or of the network."""


class UnexpectedResponseError(TransientError):
    """A success without the requested data: not a JSON object, another object, or a missing edge."""


class UnexpectedRowsError(UnexpectedResponseError):
    """A list in which some rows are not objects. The others could be read."""


class TooMuchDataError(GraphError):
    """The response was too large or took too long. A request for less data may succeed.

    ``received_bytes`` is the number of bytes received before the response was cut off for its size, otherwise 0.
    """

    default_action = Action.ASK_LESS

    def __init__(self, message: str, *, received_bytes: int = 0, **details: Any) -> None:
        super().__init__(message, **details)
        self.received_bytes: Final = received_bytes


class LimitTooHighError(TooMuchDataError):
    """The requested ``limit`` is higher than Meta allows."""

    is_repeatable = False

    @property
    def maximum(self) -> int | None:
        """The highest ``limit`` that Meta's message allows; None if it names none."""
        match = _MAXIMUM.search(re.sub(r"\(#\d+\)", "", self.meta_message)) or _MAXIMUM.search(self.user_message)
        return int(match[1]) or None if match else None


class CursorError(GraphError):
    """The position in a list is no longer valid, or the list loops."""

    is_repeatable = False


class ItemUnavailableError(GraphError):
    """This object is deleted, hidden or unreadable. Others are not affected."""

    default_action = Action.SKIP
    default_scope = ErrorScope.CONVERSATION

    def as_page_error(self) -> GraphError:
        """Return the error for a refused Page, which someone must fix."""
        return InvalidRequestError(
            f"{self.message} Check page_id, and that the token's user has a role on that Page.",
            code=self.code,
            subcode=self.subcode,
            fbtrace_id=self.fbtrace_id,
            http_status=self.http_status,
            scope=ErrorScope.PAGE,
            meta_message=self.meta_message,
            user_title=self.user_title,
            user_message=self.user_message,
            usage=self.usage,
        )


class TokenError(GraphError):
    """The access token does not work. A retry with the same token cannot help."""

    default_action = Action.FAIL
    default_scope = ErrorScope.APP


class PermissionDeniedError(GraphError):
    """The token is valid but lacks a permission."""

    default_action = Action.FAIL
    default_scope = ErrorScope.PAGE


class BlockedError(GraphError):
    """Meta has blocked the account or app for its behaviour. Further calls make it worse."""

    default_action = Action.FAIL
    default_scope = ErrorScope.APP


class InvalidRequestError(GraphError):
    """The request itself is invalid: a parameter, an ID, a version or the connection."""

    default_action = Action.FAIL


class FieldRefusedError(InvalidRequestError):
    """A requested field does not exist, or no longer exists."""

    @property
    def field_text(self) -> str:
        """Meta's text, which names the field."""
        return self.meta_text


_MAXIMUM = re.compile(
    r"(?:between\s+\d+\s+and|exceeds?|maximum|max|at most|up to|no more than|(?:less|greater|larger|more|higher) than)"
    r"\D{0,40}?(\d{1,9})\b",
    re.IGNORECASE,
)
