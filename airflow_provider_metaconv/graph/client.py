"""The only module that talks to Meta: it sends, counts, waits and repeats; what answers mean is decided elsewhere."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from airflow_provider_metaconv.graph.answer import Answer, read_answer
from airflow_provider_metaconv.graph.auth import Credentials, SecretFilter
from airflow_provider_metaconv.graph.errors import (
    BlockedError,
    GraphError,
    InvalidRequestError,
    RateLimitError,
    TokenError,
    TransientError,
)
from airflow_provider_metaconv.graph.pacing import Pacer

logger = logging.getLogger(__name__)

BASE_URL = "https://graph.facebook.com"
API_VERSION = "v26.0"
MAX_INLINE_WAIT = 30.0
ATTEMPTS = 5
# Meta cuts a slow Instagram inbox itself at about 30 seconds; the client must be the more patient of the two.
TIMEOUT_SECONDS = (10.0, 75.0)


class CallStatistics:
    """What the calls of one run cost: counted by all threads, read at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = 0
        self.retries = 0
        self.limit_waits = 0
        self.limit_wait_seconds = 0.0
        self.usage_percent = 0.0
        self.errors: Counter[str] = Counter()

    def sent(self) -> None:
        """One call went out."""
        with self._lock:
            self.calls += 1

    def answered(self, percent: float) -> None:
        """An answer spoke of limits that are so many percent full."""
        with self._lock:
            self.usage_percent = max(self.usage_percent, percent)

    def failed(self, error: GraphError) -> None:
        """A call ended in an error."""
        with self._lock:
            self.errors[str(error.code if error.code is not None else type(error).__name__)] += 1

    def repeated(self, limit_wait: float | None) -> None:
        """A call is sent again; ``limit_wait`` is how long a rate limit makes it wait, in seconds."""
        with self._lock:
            self.retries += 1
            if limit_wait is not None:
                self.limit_waits += 1
                self.limit_wait_seconds += limit_wait

    def as_dict(self) -> dict[str, Any]:
        """The counts for a manifest: numbers and error codes, nothing secret."""
        return {
            "calls": self.calls,
            "retries": self.retries,
            "rate_limit_waits": self.limit_waits,
            "rate_limit_wait_seconds": round(self.limit_wait_seconds, 1),
            "usage_percent": round(self.usage_percent, 1),
            "errors": dict(sorted(self.errors.items())),
        }


class GraphClient:
    """Paced, patient GET calls to one Graph host under one token; safe to use from several threads.

    ``max_inline_wait`` seconds is the longest wait for a rate limit that a call takes upon itself; a longer one is
    raised at once, and nothing more is sent until it is over. Raises ``InvalidRequestError`` for a bad address.
    """

    def __init__(
        self,
        session: requests.Session,
        credentials: Credentials,
        *,
        base_url: str = BASE_URL,
        api_version: str = API_VERSION,
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
        self._pacer = pacer or Pacer(clock=clock, sleep=sleep)
        self._max_inline_wait = max_inline_wait
        self._clock = clock
        self._limit: tuple[float, RateLimitError] | None = None
        self._final: TokenError | BlockedError | None = None
        self.statistics = CallStatistics()
        self._back_off = wait_exponential_jitter(initial=1, max=20)
        self._retrying = Retrying(
            retry=retry_if_exception(self._passes_soon),
            wait=self._wait,
            stop=stop_after_attempt(attempts),
            before_sleep=self._before_repeat,
            sleep=sleep,
            reraise=True,
        )
        logging.getLogger("urllib3.connectionpool").addFilter(_SECRET_FILTER)

    @property
    def calls(self) -> int:
        """How many requests were sent."""
        return self.statistics.calls

    def use_token(self, token: str) -> None:
        """Goes on under another token, the Page's own; the app secret stays."""
        self._credentials = Credentials(token, self._credentials.app_secret)
        self._final = None

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at a path below the API version, such as ``100/conversations``.

        Raises the ``GraphError`` that the answer means, when repeating does not mend it.
        """
        # A copy for each call: tenacity keeps what it counts in the object, and threads share this client.
        return self._retrying.copy()(self._get_once, path, parameters or {})

    def _get_once(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        self._pacer.wait_turn()
        self._refuse_what_is_hopeless()
        try:
            answer = self._answer(path, parameters)
        except GraphError as error:
            self.statistics.failed(error)
            self.statistics.answered(error.usage_percent)
            if not isinstance(error, RateLimitError):
                # How long a limit that was reached lasts, the error says itself; the pace after it, the next answer.
                self._pacer.observe(error.usage_percent)
            self._remember(error)
            raise
        self.statistics.answered(answer.usage.percent)
        self._pacer.observe(answer.usage.percent)
        return answer.data

    def _answer(self, path: str, parameters: Mapping[str, str]) -> Answer:
        self.statistics.sent()
        failure = ""
        try:
            request = requests.Request(
                "GET",
                f"{self._root}/{quote(path)}",
                params={**parameters, **self._credentials.parameters},
                auth=self._authorize,
            )
            response = self._session.send(
                self._session.prepare_request(request),
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                **self._environment,
            )
        except requests.RequestException as error:
            failure = _kind(error)
        # Raised out here, so that no traceback carries the library's error, whose text holds the URL and its proof.
        if failure:
            raise TransientError(f"No answer from {urlsplit(self._root).hostname}: {failure}.")
        return read_answer(response.status_code, response.headers, response.content, scrub=self._credentials.scrub)

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As ``auth`` and not as a plain header, or a .netrc entry for the host would replace it.
        request.headers.update(self._credentials.headers)
        return request

    def _refuse_what_is_hopeless(self) -> None:
        # Meta counts calls under a dead token or a block against the app, and prolongs the block.
        if self._final is not None:
            raise self._final
        if self._limit is not None:
            until, error = self._limit
            remaining = until - self._clock()
            if remaining > 0:
                error.retry_after = remaining
                raise error

    def _remember(self, error: GraphError) -> None:
        if isinstance(error, TokenError | BlockedError):
            self._final = error
        elif not isinstance(error, RateLimitError):
            return
        elif error.retry_after > self._max_inline_wait:
            self._limit = (self._clock() + error.retry_after, error)
        else:
            self._pacer.pause(error.retry_after)

    def _passes_soon(self, error: BaseException) -> bool:
        if isinstance(error, RateLimitError):
            return error.retry_after <= self._max_inline_wait
        return isinstance(error, TransientError)

    def _wait(self, state: RetryCallState) -> float:
        # A rate limit pauses the pacer, which holds every thread; waiting here as well would wait twice.
        return 0.0 if isinstance(_error_of(state), RateLimitError) else self._back_off(state)

    def _before_repeat(self, state: RetryCallState) -> None:
        error = _error_of(state)
        limit_wait = error.retry_after if isinstance(error, RateLimitError) else None
        self.statistics.repeated(limit_wait)
        seconds = state.upcoming_sleep if limit_wait is None else limit_wait
        logger.info("Waiting %.1f s, then again: %s", seconds, error)


_SECRET_FILTER = SecretFilter()


def _root(base_url: str, api_version: str) -> str:
    if not _is_address(base_url):
        # Not shown: a token ends up in the wrong field more often than one would think.
        raise InvalidRequestError(f"The connection's host is no web address: write it with its scheme, as {BASE_URL}.")
    if not re.fullmatch(r"v\d+\.\d+", api_version):
        raise InvalidRequestError(f"The api_version {api_version!r} is none: write it as {API_VERSION}.")
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


def _kind(error: requests.RequestException) -> str:
    """What went wrong on the way, in class names only: the texts of these errors hold the URL."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(error).__name__ + (f" ({type(reason).__name__})" if isinstance(reason, Exception) else "")
