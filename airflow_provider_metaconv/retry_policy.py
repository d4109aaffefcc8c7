"""What happens to a task after an error: one pure decision, translated for each version of Airflow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException

from airflow_provider_metaconv.files.errors import ManifestError, PolicyChangedError, StorageRefusedError
from airflow_provider_metaconv.graph.errors import Action, GraphError
from airflow_provider_metaconv.load.verify import LoadError
from airflow_provider_metaconv.privacy.policy import PolicyError
from airflow_provider_metaconv.warehouse.errors import SchemaConflictError, WarehouseRefusedError

OnRateLimit = Literal["reschedule", "retry"]
ON_RATE_LIMIT: tuple[OnRateLimit, ...] = ("reschedule", "retry")
MAX_RATE_LIMIT_WAIT = timedelta(hours=24)
WAIT_MARGIN = timedelta(seconds=5)
"""Meta reports waits in whole minutes, and a call that comes too early prolongs the block."""

_FINAL = (
    AirflowNotFoundException,
    ImportError,
    LoadError,
    ManifestError,
    PolicyChangedError,
    PolicyError,
    StorageRefusedError,
    SchemaConflictError,
    WarehouseRefusedError,
)


@dataclass(frozen=True, slots=True)
class Reschedule:
    """Free the worker and run again at that time, without using up a retry."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Retry:
    """Use up a retry after ``delay``; None means the task's own ``retry_delay``."""

    delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """Fail without retries: another attempt cannot help until someone fixes the cause."""

    reason: str


Decision = Reschedule | Retry | Fail


def decide(error: BaseException, *, now: datetime | None = None) -> Decision:
    """Decide what to do after an error; ``now`` (aware) is the time of the error, by default the present."""
    if not isinstance(error, GraphError):
        return Fail(str(error)) if isinstance(error, _FINAL) else Retry()
    match error.action:
        case Action.WAIT:
            return Reschedule((now or pendulum.now("UTC")) + timedelta(seconds=error.retry_after) + WAIT_MARGIN)
        case Action.FAIL:
            return Fail(str(error))
        case _:
            return Retry()


@contextlib.contextmanager
def fail_fast() -> Iterator[None]:
    """Raise an error that no retry can fix as ``AirflowFailException``, so that no retry is used up.

    For operators and ``@task`` functions on Airflow 3.1 and 3.2. Later versions use retry policies instead.
    """
    try:
        yield
    except Exception as error:
        decision = Retry() if HAS_RETRY_POLICY else decide(error)
        if isinstance(decision, Fail):
            raise AirflowFailException(decision.reason) from None
        raise


if TYPE_CHECKING:
    from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

    HAS_RETRY_POLICY = True
else:
    try:
        from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

        HAS_RETRY_POLICY = True
    except ImportError:  # Airflow 3.1 and 3.2
        RetryDecision, RetryPolicy = None, object
        HAS_RETRY_POLICY = False


class MetaGraphRetryPolicy(RetryPolicy):
    """``decide()`` as an Airflow retry policy (3.3 and later), for operators and ``@task`` functions alike.

    ``on_rate_limit="reschedule"`` waits without using up a retry where Airflow's policies support it (3.4 and later,
    for at most ``max_rate_limit_wait``), and uses up a retry otherwise. ``"retry"`` always uses up a retry. Both wait
    as long as Meta requires.
    """

    def __init__(
        self, on_rate_limit: OnRateLimit = "reschedule", max_rate_limit_wait: timedelta = MAX_RATE_LIMIT_WAIT
    ) -> None:
        self.on_rate_limit = on_rate_limit
        self.max_rate_limit_wait = max_rate_limit_wait

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Any = None,
    ) -> RetryDecision:
        """Translate ``decide()`` for a failed attempt."""
        now = pendulum.now("UTC")
        decision = decide(exception, now=now)
        if isinstance(decision, Fail):
            return RetryDecision.fail(reason=decision.reason)
        if isinstance(decision, Reschedule):
            return self._wait(decision.at - now, str(exception))
        return RetryDecision.default()

    def _wait(self, delay: timedelta, reason: str) -> RetryDecision:
        reschedule = getattr(RetryDecision, "reschedule", None)
        if self.on_rate_limit == "reschedule" and reschedule is not None:
            waiting: RetryDecision = reschedule(delay=delay, reschedule_timeout=self.max_rate_limit_wait, reason=reason)
            return waiting
        return RetryDecision.retry(delay=delay, reason=reason)
