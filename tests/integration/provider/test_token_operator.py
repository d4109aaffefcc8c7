"""A token that expires soon fails a task in time, with one line that says who must do what."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Asset
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, World, WorldSettings
from airflow_provider_metaconv.graph.errors import RateLimitError, TokenError
from airflow_provider_metaconv.observability.coverage_event import ACCESS_ASSET
from airflow_provider_metaconv.operators.token import MetaTokenExpiryOperator
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY

DAG_FILE = Path(__file__).parents[3] / "dags" / "meta_token_expiry.py"


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=0))) as server:
        yield server


def run(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer, token: str, secret: str | None = None, **arguments: Any
) -> dict[str, Any]:
    extra = {"app_secret": secret, "calls_per_second": 100}
    connection = {"conn_type": "meta_graph", "host": server.url, "password": token, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", json.dumps(connection))
    return MetaTokenExpiryOperator(task_id="check_token", **arguments).execute({})


def test_a_token_without_expiry_passes(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer) -> None:
    returned = run(monkeypatch, server, server.system_user_token, server.app_secret)
    assert returned == {
        "kind": "SYSTEM_USER",
        "owner_id": "5000000000000002",
        "expires_at": "never",
        "data_access_expires_at": "never",
    }


def test_the_access_event_has_the_two_times(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer) -> None:
    run(monkeypatch, server, server.system_user_token, server.app_secret)  # sets the connection
    asset = Asset(ACCESS_ASSET)
    context: Any = {"outlet_events": OutletEventAccessors()}
    MetaTokenExpiryOperator(task_id="check_token", outlets=[asset]).execute(context)
    assert context["outlet_events"][asset].extra == {
        "meta_conn_id": "meta_graph_default",
        "expires_at": "never",
        "data_access_expires_at": "never",
    }


@pytest.mark.parametrize(
    ("end", "expected"),
    [("expires_at", "expires on"), ("data_access_expires_at", "loses access to its data on")],
)
def test_only_a_token_that_expires_soon_fails(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer, end: str, expected: str
) -> None:
    at = pendulum.now("UTC").add(days=10)
    server.describe_token(server.user_token, **{end: at})
    with pytest.raises(AirflowFailException, match=expected) as caught:
        run(monkeypatch, server, server.user_token)
    assert str(caught.value).startswith("Connection meta_graph_default: The user token of Emulator User (id 5")
    assert "(in 9 days)" in str(caught.value)
    assert server.user_token not in str(caught.value)
    returned = run(monkeypatch, server, server.user_token, warn_before=timedelta(days=9))
    assert at.replace(microsecond=0).isoformat() == returned[end]


def test_an_unknown_expiry_fails_by_default(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer) -> None:
    with pytest.raises(AirflowFailException, match="set app_secret in the connection's extra to the secret"):
        run(monkeypatch, server, server.system_user_token)
    assert run(monkeypatch, server, server.system_user_token, on_unknown="warn")["expires_at"] is None
    with pytest.raises(AirflowFailException, match='must be "fail" or "warn"'):
        run(monkeypatch, server, server.system_user_token, on_unknown="ignore")


def test_an_invalid_token_is_final_and_a_rate_limit_is_not(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    server.add_fault(Fault("4", times=1, block_seconds=3600))
    with pytest.raises(RateLimitError):
        run(monkeypatch, server, server.user_token)
    server.clear_faults()
    server.service.tokens.expire(server.user_token, 460)
    with pytest.raises(TokenError if HAS_RETRY_POLICY else AirflowFailException, match="password changed"):
        run(monkeypatch, server, server.user_token)


def test_the_dag_checks_each_connection_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("META_TOKEN_EXPIRY_CONN_IDS", "meta_graph_default, meta_graph_shop")
    monkeypatch.setenv("META_TOKEN_EXPIRY_WARN_DAYS", "7")
    dag = runpy.run_path(str(DAG_FILE))["meta_token_expiry"]()
    task = dag.get_task("check_token")
    assert dag.task_ids == ["check_token"]
    assert task.expand_input.value["meta_conn_id"] == ["meta_graph_default", "meta_graph_shop"]
    assert timedelta(days=7) == task.partial_kwargs["warn_before"]
