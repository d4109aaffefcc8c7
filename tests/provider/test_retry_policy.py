"""One pure decision for every error, and the same decision in the words of Airflow's retry policies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_metaconv.files.errors import ManifestError
from airflow_provider_metaconv.graph.errors import (
    BlockedError,
    CursorError,
    GraphError,
    InvalidRequestError,
    PermissionDeniedError,
    RateLimitError,
    TokenError,
    TransientError,
)
from airflow_provider_metaconv.load.verify import LoadError
from airflow_provider_metaconv.retry_policy import (
    HAS_RETRY_POLICY,
    Decision,
    Fail,
    MetaGraphRetryPolicy,
    Reschedule,
    Retry,
    decide,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def limited(seconds: float) -> RateLimitError:
    error = RateLimitError("too many calls", code=80006)
    error.retry_after = seconds
    return error


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        (Reschedule(NOW + timedelta(minutes=19, seconds=5)), limited(19 * 60)),
        (Retry(), TransientError("reset")),
        (Retry(), GraphError("unknown", code=424242)),
        (Retry(), OSError("disk")),
        (Fail("[190/463] expired"), TokenError("expired", code=190, subcode=463)),
        (Fail("[200] no"), PermissionDeniedError("no", code=200)),
        (Fail("[368] blocked"), BlockedError("blocked", code=368)),
        (Fail("[100] wrong"), InvalidRequestError("wrong", code=100)),
        (Fail("circle"), CursorError("circle")),
        (Fail("changed"), LoadError("changed")),
        (Fail("no manifest"), ManifestError("no manifest")),
        (Fail("no connection"), AirflowNotFoundException("no connection")),
    ],
)
def test_what_happens_next(expected: Decision, error: Exception) -> None:
    assert expected == decide(error, now=NOW)


needs_policies = pytest.mark.skipif(not HAS_RETRY_POLICY, reason="retry policies came with Airflow 3.3")


@needs_policies
def test_the_policy_fails_at_once_what_a_person_must_mend() -> None:
    decision = MetaGraphRetryPolicy().evaluate(TokenError("expired", code=190), 1, 3)
    assert ("fail", "[190] expired") == (decision.action.value, decision.reason)


@needs_policies
def test_the_policy_waits_as_long_as_meta_says() -> None:
    decision = MetaGraphRetryPolicy(on_rate_limit="retry").evaluate(limited(90), 1, 3)
    assert ("retry", timedelta(seconds=95)) == (decision.action.value, decision.retry_delay)


@needs_policies
def test_the_policy_leaves_the_rest_to_the_tasks_own_retries() -> None:
    assert "default" == MetaGraphRetryPolicy().evaluate(TransientError("reset"), 1, 3).action.value
