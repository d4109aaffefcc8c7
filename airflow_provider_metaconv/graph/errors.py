"""What the Graph API answers instead of data, grouped by what to do next.

GraphError                    anything the API refuses; an unknown code stays this class and is tried again
├── RateLimitError            wait ``retry_after`` seconds, send nothing meanwhile
├── TransientError            try again with back-off
│   └── UnexpectedResponseError   a success that is not what was asked for
│       └── UnexpectedRowsError   a list in which some rows are not objects
├── TooMuchDataError          ask for less
│   └── LimitTooHighError     ask for at most ``maximum`` rows
├── CursorError               start the list again
├── ItemUnavailableError      leave this one object out
├── TokenError                a person must renew the token
├── PermissionDeniedError     a person must grant the permission
├── BlockedError              a person must look at the account
└── InvalidRequestError       a person must correct the request or the connection
    └── FieldRefusedError     leave the field out

Which code is which is in ``error_rules``; everybody else decides by class, ``action`` and ``scope``, never by a code.
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
    """Send nothing for ``retry_after`` seconds, then the same call again."""
    RETRY = "retry"
    """The same call again, after a while."""
    ASK_LESS = "ask_less"
    """The same question for fewer rows or fields."""
    SKIP = "skip"
    """Go on without this object, and record it."""
    FAIL = "fail"
    """Stop: a person must change something."""


class ErrorScope(StrEnum):
    """How much an error concerns: everything outside it can still be read."""

    CALL = "call"
    CONVERSATION = "conversation"
    PAGE = "page"
    APP = "app"


class GraphError(Exception):
    """The Graph API refused a call; ``str()`` is one line that says what happened and what to do, without secrets.

    ``code`` and ``subcode`` are Meta's (None without a Graph error), ``http_status`` is the status of the response,
    ``fbtrace_id`` what Meta's support asks for, ``usage`` the limits that the response reported. ``meta_message``,
    ``user_title`` and ``user_message`` are Meta's own words. None of these texts holds a secret that
    was ever used. Nothing changes after construction: one error may be seen by several threads.
    """

    default_action: ClassVar[Action] = Action.RETRY
    default_scope: ClassVar[ErrorScope] = ErrorScope.CALL
    is_repeatable: ClassVar[bool] = True
    """Whether the very same call can succeed later, so that a client may repeat it."""

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
        # Python itself notes traceback, cause and context.
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
        """What errors of the same cause have in common, to count them by."""
        return f"{type(self).__name__} {self.code}/{self.subcode}"

    @property
    def retry_after(self) -> float:
        """Seconds in which nothing may be sent; 0 for all but rate limits."""
        return 0.0

    @property
    def meta_text(self) -> str:
        """All that Meta said, in one line."""
        return " ".join(filter(None, (self.meta_message, self.user_title, self.user_message)))

    def as_page_error(self) -> GraphError:
        """The same error where the Page itself was asked for: without its Page, nothing is left to go on with."""
        return self

    def fresh(self) -> Self:
        """An equal error without traceback, to be raised again later or in another thread."""
        return copy.copy(self)


class RateLimitError(GraphError):
    """A limit is reached: send nothing more to ``bucket`` for ``retry_after`` seconds.

    ``is_estimate`` says whether Meta itself said how long; otherwise ``retry_after`` is the table's first guess.
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
        """A fresh error that asks to wait that long from now on."""
        error = self.fresh()
        vars(error)["_retry_after"] = seconds
        return error


class TransientError(GraphError):
    """A fault on Meta's side or on the way there that passes by itself."""


class UnexpectedResponseError(TransientError):
    """A success that is not what was asked for: no JSON object, another object, an edge that is missing."""


class UnexpectedRowsError(UnexpectedResponseError):
    """A list in which some rows are not objects; the others could be read."""


class TooMuchDataError(GraphError):
    """The answer was too large or took too long: the same question for less data may be answered.

    ``received_bytes`` is what had come of it when it was cut here for its size; 0 when it was not.
    """

    default_action = Action.ASK_LESS

    def __init__(self, message: str, *, received_bytes: int = 0, **details: Any) -> None:
        super().__init__(message, **details)
        self.received_bytes: Final = received_bytes


class LimitTooHighError(TooMuchDataError):
    """The ``limit`` asked for is higher than Meta allows here."""

    is_repeatable = False

    @property
    def maximum(self) -> int | None:
        """The highest ``limit`` that Meta's text allows; None where it names none."""
        match = _MAXIMUM.search(re.sub(r"\(#\d+\)", "", self.meta_message)) or _MAXIMUM.search(self.user_message)
        return int(match[1]) or None if match else None


class CursorError(GraphError):
    """The position in a list is not valid any more, or the list turns in a circle."""

    is_repeatable = False


class ItemUnavailableError(GraphError):
    """This one object is deleted, hidden or not readable; others are not affected."""

    default_action = Action.SKIP
    default_scope = ErrorScope.CONVERSATION

    def as_page_error(self) -> GraphError:
        """The refusal of a Page, which a person must look at."""
        return InvalidRequestError(
            f"{self.message} Check page_id, and that the token's person has a role on that Page.",
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
    """The access token does not work; another attempt with the same token cannot help."""

    default_action = Action.FAIL
    default_scope = ErrorScope.APP


class PermissionDeniedError(GraphError):
    """The token works but may not do this."""

    default_action = Action.FAIL
    default_scope = ErrorScope.PAGE


class BlockedError(GraphError):
    """Meta blocked the account or the app for its behaviour; further calls make it worse."""

    default_action = Action.FAIL
    default_scope = ErrorScope.APP


class InvalidRequestError(GraphError):
    """The request itself is wrong: a parameter, an id, a version, the connection."""

    default_action = Action.FAIL


class FieldRefusedError(InvalidRequestError):
    """A field that was asked for does not exist, or not any more."""

    @property
    def field_text(self) -> str:
        """Meta's words, which name the field."""
        return self.meta_text


_MAXIMUM = re.compile(
    r"(?:between\s+\d+\s+and|exceeds?|maximum|max|at most|up to|no more than|(?:less|greater|larger|more|higher) than)"
    r"\D{0,40}?(\d{1,9})\b",
    re.IGNORECASE,
)
