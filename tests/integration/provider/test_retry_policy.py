"""One pure decision for every error, also available as an Airflow retry policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException

from airflow_provider_metaconv import retry_policy
from airflow_provider_metaconv.files.errors import ManifestError, StorageError, StorageRefusedError
from airflow_provider_metaconv.graph.error_rules import ERROR_RULES, MetaError, error_of
from airflow_provider_metaconv.graph.errors import (
    Action,
    BlockedError,
    CursorError,
    GraphError,
    InvalidRequestError,
    ItemUnavailableError,
    PermissionDeniedError,
    RateLimitError,
    TokenError,
    TooMuchDataError,
    TransientError,
)
from airflow_provider_metaconv.load.verify import LoadError
from airflow_provider_metaconv.retry_policy import (
    HAS_RETRY_POLICY,
    WAIT_MARGIN,
    Decision,
    Fail,
    MetaGraphRetryPolicy,
    Reschedule,
    Retry,
    decide,
    fail_fast,
)
from airflow_provider_metaconv.warehouse.errors import WarehouseBusyError, WarehouseRefusedError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def limited(seconds: float) -> RateLimitError:
    return RateLimitError("too many calls", code=80006, retry_after=seconds)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (limited(19 * 60), Reschedule(NOW + timedelta(minutes=19, seconds=5))),
        (TransientError("reset"), Retry()),
        (TooMuchDataError("too much", code=1), Retry()),
        (ItemUnavailableError("gone", code=9000001), Retry()),
        (CursorError("circle"), Retry()),
        (GraphError("unknown", code=424242), Retry()),
        (OSError("disk"), Retry()),
        (TokenError("expired", code=190, subcode=463), Fail("[190/463] expired")),
        (PermissionDeniedError("no", code=200), Fail("[200] no")),
        (BlockedError("blocked", code=368), Fail("[368] blocked")),
        (InvalidRequestError("wrong", code=100), Fail("[100] wrong")),
        (LoadError("changed"), Fail("changed")),
        (ManifestError("no manifest"), Fail("no manifest")),
        (AirflowNotFoundException("no connection"), Fail("no connection")),
        (StorageRefusedError("a file"), Fail("a file")),
        (StorageError("no room"), Retry()),
        (WarehouseRefusedError("no database"), Fail("no database")),
        (WarehouseBusyError("held"), Retry()),
        (ImportError("no extra"), Fail("no extra")),
    ],
)
def test_each_error_has_its_decision(error: Exception, expected: Decision) -> None:
    assert decide(error, now=NOW) == expected


@pytest.mark.parametrize(("code", "subcode"), ERROR_RULES)
def test_each_error_code_leads_to_its_action(code: int, subcode: int | None) -> None:
    for rule in ERROR_RULES[code, subcode]:
        error = error_of(MetaError(code, subcode, rule.text))
        waiting = Reschedule(NOW + timedelta(seconds=rule.wait_seconds) + WAIT_MARGIN)
        expected = {Action.WAIT: waiting, Action.FAIL: Fail(str(error))}.get(rule.action, Retry())
        assert decide(error, now=NOW) == expected


def test_without_retry_policies_permanent_errors_fail_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_policy, "HAS_RETRY_POLICY", False)
    with pytest.raises(AirflowFailException, match=r"^\[190\] expired$"), fail_fast():
        raise TokenError("expired", code=190)
    with pytest.raises(TransientError), fail_fast():
        raise TransientError("reset")


def test_with_retry_policies_errors_pass_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_policy, "HAS_RETRY_POLICY", True)
    with pytest.raises(TokenError), fail_fast():
        raise TokenError("expired", code=190)


needs_policies = pytest.mark.skipif(not HAS_RETRY_POLICY, reason="retry policies came with Airflow 3.3")


@needs_policies
def test_the_policy_fails_fast_on_errors_that_need_human_action() -> None:
    decision = MetaGraphRetryPolicy().evaluate(TokenError("expired", code=190), 1, 3)
    assert (decision.action.value, decision.reason) == ("fail", "[190] expired")


@needs_policies
def test_the_policy_waits_as_long_as_meta_asks() -> None:
    decision = MetaGraphRetryPolicy(on_rate_limit="retry").evaluate(limited(90), 1, 3)
    assert (decision.action.value, decision.retry_delay) == ("retry", timedelta(seconds=95))


@needs_policies
def test_the_policy_leaves_other_errors_to_the_tasks_retries() -> None:
    assert MetaGraphRetryPolicy().evaluate(TransientError("reset"), 1, 3).action.value == "default"
