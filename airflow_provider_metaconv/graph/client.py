"""The only module that calls Meta: it sends, counts, waits and retries. Other modules interpret the responses."""

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
from airflow_provider_metaconv.graph.redaction import SECRET_PARAMETERS, hidden_paths, remember, watch_http_loggers
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
# Meta itself cuts off a slow Instagram inbox after about 30 seconds, so the client's timeout must be longer.
TIMEOUT_SECONDS = (10.0, 75.0)


class GraphClient:
    """Rate-limited GET calls to one Graph host with one token. Thread-safe.

    ``own_ids`` are the IDs of the Page and its Instagram account, whose limits count. ``max_inline_wait`` is the
    longest rate limit wait, in seconds, that a call makes itself. A longer one is raised immediately, and nothing is
    sent until it is over. Raises ``InvalidRequestError`` for an invalid host or API version.
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
        # Proxies and certificates from the environment are read once, because reading them costs as much as a call.
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
        self._names_people = True
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
        """The number of requests sent."""
        return self.statistics.calls

    @property
    def consecutive_limits(self) -> int:
        """The rate limits since the last success. A later attempt sets it, so that it waits longer."""
        return self._limits.consecutive

    @consecutive_limits.setter
    def consecutive_limits(self, count: int) -> None:
        self._limits.consecutive = count

    def use_page(self, identity: PageIdentity) -> None:
        """Switch to the Page's own token and limits. The app secret stays."""
        self._credentials = Credentials(identity.token, self._credentials.app_secret)
        self._own_ids = identity.own_ids
        self._final = None

    def hide_people(self) -> None:
        """From now on, name no person or conversation: errors do not quote Meta, and logs show no path of a call."""
        self._names_people = False

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
        """Return the JSON object at a path below the API version, such as ``100/conversations``, or ``parse``'s result.

        ``parse`` raises ``UnexpectedResponseError`` for an unexpected object, which counts as a failed call. Errors
        whose action is in ``retried`` are retried with back-off, and short rate limits always are; other errors are
        raised immediately. IDs in the path must come from ``graph_path``. Raises the last attempt's ``GraphError``.
        """
        # tenacity stores its counts in the object, so each call gets a copy: threads share this client.
        repeating = self._retrying.copy(retry=retry_if_exception(lambda error: self._is_repeated(error, retried)))
        return repeating(self._get_once, path, parameters or {}, parse)

    def _get_once(self, path: str, parameters: Mapping[str, str], parse: Parse[Any] | None) -> Any:
        self._wait_turn()
        sent_at = self._clock()
        try:
            data = self._send(path, parameters)
            result = data if parse is None else parse(data)
        except GraphError as error:
            raised = self._recorded(error, sent_at)
        else:
            self._limits.succeeded(sent_at)
            return result
        raise raised

    def _wait_turn(self) -> None:
        self._pacer.wait_turn()
        # Meta counts calls with an invalid token or during a block against the app, and prolongs the block.
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

    def _send(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        self.statistics.sent()
        http = self._http_response(path, parameters)
        try:
            response = parse_response(
                http.status_code, http.headers, http.content, own_ids=self._own_ids, quoted=self._names_people
            )
        except GraphError as error:
            self.statistics.answered(error.usage.percent)
            if error.action is not Action.WAIT:
                # The error itself says how long the limit lasts; the next response then sets the pace.
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
            with hidden_paths(not self._names_people):
                return self._session.send(
                    self._session.prepare_request(request),
                    timeout=TIMEOUT_SECONDS,
                    allow_redirects=False,
                    **self._environment,
                )
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            # ``requests`` does not wrap every error, for example that of an invalid address in a header.
            failure = self._failure(error)
        # Raised outside the handler, so that no traceback has the library's error, whose text includes the URL.
        raise failure

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Set through ``auth``, because a .netrc entry for the host would replace a plain header.
        request.headers.update(self._credentials.headers)
        return request

    def _failure(self, error: Exception) -> GraphError:
        parts = urlsplit(self._root)
        place = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        if isinstance(error, requests.exceptions.InvalidURL):
            return InvalidRequestError(f"The connection's host {place} is not a valid web address: correct it.")
        if isinstance(error, ResponseTooLargeError):
            return TooMuchDataError(
                f"The response from {place} is larger than max_response_mib. If that is expected: raise it in "
                "the connection's extra.",
                received_bytes=error.received_bytes,
            )
        if isinstance(error, CallTooLongError):
            return TooMuchDataError(
                f"The response from {place} was not complete within call_timeout. If that is expected: raise it in "
                "the connection's extra."
            )
        if isinstance(error, requests.exceptions.ReadTimeout):
            seconds = f"{TIMEOUT_SECONDS[1]:.0f} seconds"
            # A request for too much data takes too long, and would take as long again if it were repeated unchanged.
            advice = "If this persists: check the connection's host and port, and this machine's network and proxy."
            return TransientError(f"No response from {place} within {seconds}. {advice}", action=Action.ASK_LESS)
        if isinstance(error, requests.exceptions.ConnectionError):
            return TransientError(unreachable(error, parts.hostname or "", place))
        return TransientError(f"The response from {place} was truncated or cannot be read: {_kind(error)}.")

    def _recorded(self, error: GraphError, sent_at: float) -> GraphError:
        """Record an error's consequences for the next calls, and return the error to raise."""
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
        # A rate limit pauses the pacer, which holds up every thread. Waiting here as well would double the wait.
        return 0.0 if _limit_wait(state) is not None else self._back_off(state)

    def _before_repeat(self, state: RetryCallState) -> None:
        limit_wait = _limit_wait(state)
        self.statistics.repeated(limit_wait)
        seconds = state.upcoming_sleep if limit_wait is None else limit_wait
        logger.info("Waiting %.1f s before a retry: %s", seconds, _error_of(state))


def _root(base_url: str, api_version: str) -> str:
    if not _is_address(base_url):
        # The value is not quoted, because a token may have been entered in the wrong field.
        raise InvalidRequestError(f"The connection's host must be a web address with its scheme, such as {BASE_URL}.")
    if not re.fullmatch(r"v\d+\.\d+", api_version):
        raise InvalidRequestError(f"api_version must be a version such as {API_VERSION}.")
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
    """Return the error's class names. Its text is not used, because it includes the URL."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(error).__name__ + (f" ({type(reason).__name__})" if isinstance(reason, Exception) else "")
