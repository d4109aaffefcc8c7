"""The only module that talks to Meta: it sends, counts, waits and repeats; what responses mean is decided elsewhere."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, overload
from urllib.parse import urlsplit

import requests
import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from airflow_provider_metaconv.graph.auth import PageIdentity
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.errors import (
    Action,
    ErrorScope,
    GraphError,
    InvalidRequestError,
    RateLimitError,
    TooMuchDataError,
    TransientError,
)
from airflow_provider_metaconv.graph.limits import LimitWaits, Pacer
from airflow_provider_metaconv.graph.redaction import SECRET_PARAMETERS, remember, watch_http_loggers
from airflow_provider_metaconv.graph.request import REPEATED, Parse, Result, checked_path
from airflow_provider_metaconv.graph.response import parse_response
from airflow_provider_metaconv.graph.session import CallTooLongError, ResponseTooLargeError
from airflow_provider_metaconv.graph.statistics import CallStatistics
from airflow_provider_metaconv.graph.unreachable import unreachable

logger = logging.getLogger(__name__)

BASE_URL = "https://graph.facebook.com"
API_VERSION = "v26.0"
MAX_INLINE_WAIT = 30.0
ATTEMPTS = 5
# Meta cuts a slow Instagram inbox itself at about 30 seconds; the client must be the more patient of the two.
TIMEOUT_SECONDS = (10.0, 75.0)


class GraphClient:
    """Paced, patient GET calls to one Graph host under one token; safe to use from several threads.

    ``own_ids`` are the ids of the Page and its Instagram account, whose limits count. ``max_inline_wait`` seconds is
    the longest wait for a rate limit that a call takes upon itself; a longer one is raised at once, and nothing more is
    sent until it is over. Raises ``InvalidRequestError`` for a bad address.
    """

    def __init__(
        self,
        session: requests.Session,
        credentials: Credentials,
        *,
        base_url: str = BASE_URL,
        api_version: str = API_VERSION,
        own_ids: Collection[str] = (),
        pacer: Pacer | None = None,
        max_inline_wait: float = MAX_INLINE_WAIT,
        attempts: int = ATTEMPTS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._root = _root(base_url, api_version)
        self._session = session
        # The proxies and certificates of the environment, read once: for each call it costs as much as sending it.
        self._environment = session.merge_environment_settings(self._root, {}, None, None, None)
        self._credentials = credentials
        self._own_ids = frozenset(own_ids)
        self._pacer = pacer or Pacer(clock=clock, sleep=sleep)
        self._max_inline_wait = max_inline_wait
        self._clock = clock
        self._limits = LimitWaits(clock)
        self._limited: tuple[float, RateLimitError] | None = None
        self._final: GraphError | None = None
        self.statistics = CallStatistics()
        self._back_off = wait_exponential_jitter(initial=1, max=20)
        self._retrying = Retrying(
            wait=self._wait,
            stop=stop_after_attempt(attempts),
            before_sleep=self._before_repeat,
            sleep=sleep,
            reraise=True,
        )
        watch_http_loggers()

    @property
    def calls(self) -> int:
        """How many requests were sent."""
        return self.statistics.calls

    @property
    def consecutive_limits(self) -> int:
        """How many rate limits came since the last success; set by a later attempt, which goes on waiting longer."""
        return self._limits.consecutive

    @consecutive_limits.setter
    def consecutive_limits(self, count: int) -> None:
        self._limits.consecutive = count

    def use_page(self, identity: PageIdentity) -> None:
        """Goes on as the Page itself: with its own token and its own limits; the app secret stays."""
        self._credentials = Credentials(identity.token, self._credentials.app_secret)
        self._own_ids = identity.own_ids
        self._final = None

    @overload
    def get(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        *,
        parse: None = None,
        retried: Collection[Action] = REPEATED,
    ) -> dict[str, Any]: ...

    @overload
    def get(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        *,
        parse: Parse[Result],
        retried: Collection[Action] = REPEATED,
    ) -> Result: ...

    def get(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        *,
        parse: Parse[Any] | None = None,
        retried: Collection[Action] = REPEATED,
    ) -> Any:
        """The JSON object at a path below the API version, such as ``100/conversations``, or what ``parse`` returns.

        ``parse`` raises ``UnexpectedResponseError`` for an object that is not what was asked for, which counts as a
        failed call. Errors whose action is in ``retried`` are repeated with back-off, short rate limits always; all
        others are raised at once. Ids in the path come from ``graph_path``. Raises the ``GraphError`` of the last try.
        """
        # A copy for each call: tenacity keeps what it counts in the object, and threads share this client.
        repeating = self._retrying.copy(retry=retry_if_exception(lambda error: self._is_repeated(error, retried)))
        return repeating(self._get_once, path, parameters or {}, parse)

    def _get_once(self, path: str, parameters: Mapping[str, str], parse: Parse[Any] | None) -> Any:
        self._wait_turn()
        sent_at = self._clock()
        try:
            data = self._sent(path, parameters)
            result = data if parse is None else parse(data)
        except GraphError as error:
            raised = self._noted(error, sent_at)
        else:
            self._limits.succeeded(sent_at)
            return result
        raise raised

    def _wait_turn(self) -> None:
        self._pacer.wait_turn()
        # Meta counts calls under a dead token or a block against the app, and prolongs the block.
        if self._final is not None:
            raise self._final.fresh()
        if self._limited is None:
            return
        until, error = self._limited
        remaining = until - self._clock()
        if remaining > self._max_inline_wait:
            raise error.with_wait(remaining)
        if remaining > 0:
            self._pacer.pause(remaining)
            self._pacer.wait_turn()

    def _sent(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        self.statistics.sent()
        http = self._http_response(path, parameters)
        try:
            response = parse_response(http.status_code, http.headers, http.content, own_ids=self._own_ids)
        except GraphError as error:
            self.statistics.answered(error.usage.percent)
            if error.action is not Action.WAIT:
                # How long a limit that was reached lasts, the error says itself; the pace after it, the next response.
                self._pacer.observe(error.usage.percent)
            raise
        self.statistics.answered(response.usage.percent)
        self._pacer.observe(response.usage.percent)
        return response.data

    def _http_response(self, path: str, parameters: Mapping[str, str]) -> requests.Response:
        remember(*(parameters.get(name) for name in SECRET_PARAMETERS))
        try:
            request = requests.Request(
                "GET",
                f"{self._root}/{checked_path(path)}",
                params={**parameters, **self._credentials.parameters},
                auth=self._authorize,
            )
            return self._session.send(
                self._session.prepare_request(request),
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                **self._environment,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            # ``requests`` lets through what it stumbles over in a header, such as an address that is none.
            failure = self._failure(error)
        # Raised out here, so that no traceback carries the library's error, whose text holds the URL and its proof.
        raise failure

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As ``auth`` and not as a plain header, or a .netrc entry for the host would replace it.
        request.headers.update(self._credentials.headers)
        return request

    def _failure(self, error: Exception) -> GraphError:
        parts = urlsplit(self._root)
        place = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        if isinstance(error, requests.exceptions.InvalidURL):
            return InvalidRequestError(f"The connection's host {place} is not a web address that can be called.")
        if isinstance(error, ResponseTooLargeError):
            return TooMuchDataError(
                f"The answer from {place} is larger than an answer may be. If it has to be: raise max_response_mib in "
                "the connection's extra.",
                received_bytes=error.received_bytes,
            )
        if isinstance(error, CallTooLongError):
            return TooMuchDataError(
                f"The answer from {place} did not come whole in the time that a call may take. If it has to take "
                "longer: raise call_timeout in the connection's extra."
            )
        if isinstance(error, requests.exceptions.ReadTimeout):
            seconds = f"{TIMEOUT_SECONDS[1]:.0f} seconds"
            # A question that is too large takes too long: asking it again as it is would only take as long again.
            advice = (
                "If that does not pass: check the connection's host and port, and this machine's network and proxy."
            )
            return TransientError(f"No answer from {place} within {seconds}. {advice}", action=Action.ASK_LESS)
        if isinstance(error, requests.exceptions.ConnectionError):
            return TransientError(unreachable(error, parts.hostname or "", place))
        return TransientError(f"The answer from {place} was cut short or cannot be read: {_kind(error)}.")

    def _noted(self, error: GraphError, sent_at: float) -> GraphError:
        """The error to raise, after what it means for the next calls is noted."""
        self.statistics.failed(error)
        if isinstance(error, RateLimitError):
            seconds = self._limits.wait_after(sent_at, error.retry_after, is_estimate=error.is_estimate)
            error = error.with_wait(seconds)
            if seconds > self._max_inline_wait:
                self._limited = (self._clock() + seconds, error)
            else:
                self._pacer.pause(seconds)
        elif error.action is Action.FAIL and error.scope is ErrorScope.APP:
            self._final = error
        return error

    def _is_repeated(self, error: BaseException, retried: Collection[Action]) -> bool:
        if not isinstance(error, GraphError):
            return False
        if error.action is Action.WAIT:
            return error.retry_after <= self._max_inline_wait
        return error.is_repeatable and error.action in retried

    def _wait(self, state: RetryCallState) -> float:
        # A rate limit pauses the pacer, which holds every thread; waiting here as well would wait twice.
        return 0.0 if _limit_wait(state) is not None else self._back_off(state)

    def _before_repeat(self, state: RetryCallState) -> None:
        limit_wait = _limit_wait(state)
        self.statistics.repeated(limit_wait)
        seconds = state.upcoming_sleep if limit_wait is None else limit_wait
        logger.info("Waiting %.1f s, then again: %s", seconds, _error_of(state))


def _root(base_url: str, api_version: str) -> str:
    if not _is_address(base_url):
        # Not shown: a token ends up in the wrong field more often than one would think.
        raise InvalidRequestError(
            f"The connection's host is not a web address: write it with its scheme, as {BASE_URL}."
        )
    if not re.fullmatch(r"v\d+\.\d+", api_version):
        raise InvalidRequestError(f"api_version is not a version: write it as {API_VERSION}.")
    return f"{base_url.rstrip('/')}/{api_version}"


def _is_address(base_url: str) -> bool:
    try:
        parts = urlsplit(base_url)
        is_plain = not (parts.query or parts.fragment or parts.username or parts.port == 0)
        return is_plain and parts.scheme in ("http", "https") and base_url.isprintable() and bool(parts.hostname)
    except ValueError:
        return False


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _limit_wait(state: RetryCallState) -> float | None:
    error = _error_of(state)
    return error.retry_after if isinstance(error, RateLimitError) else None


def _kind(error: Exception) -> str:
    """What went wrong on the way, in class names only: the texts of these errors hold the URL."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(error).__name__ + (f" ({type(reason).__name__})" if isinstance(reason, Exception) else "")
