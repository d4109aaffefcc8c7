"""The hook turns a Connection into a client, and bad Connections into one line that says what to change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, Fault, World, WorldSettings
from airflow_provider_metaconv.graph.errors import InvalidRequestError, PermissionDeniedError, TokenError
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    world = World.generate(WorldSettings(pages=30, messages=60, now=datetime(2026, 11, 20, tzinfo=UTC)))
    with EmulatorServer(world, EmulatorSettings(pages_without_role=frozenset({"129"}))) as server:
        yield server


@pytest.fixture
def server(running: EmulatorServer) -> Iterator[EmulatorServer]:
    yield running
    running.clear_faults()


def connect(monkeypatch: pytest.MonkeyPatch, **connection: Any) -> MetaGraphHook:
    monkeypatch.setenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", json.dumps({"conn_type": "meta_graph", **connection}))
    return MetaGraphHook()


def test_a_page_is_read_with_its_own_token_and_the_proof(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    extra = {"app_secret": server.app_secret, "api_version": "v25.0", "calls_per_second": 100}
    hook = connect(monkeypatch, host=server.url, password=server.user_token, extra=extra)
    page = hook.get_page("101", "INSTAGRAM")
    assert server.page_token("101") == page.identity.token
    answer = page.client.get("101/conversations", {"platform": "instagram"})
    assert "data" in answer


def test_all_pages_of_a_user_token_are_listed_without_their_tokens(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    hook = connect(monkeypatch, host=server.url, password=server.system_user_token)
    pages = hook.list_pages()
    assert [str(100 + number) for number in range(29)] == sorted(page["page_id"] for page in pages)
    assert {"page_id", "name", "instagram_account_id"} == set(pages[0])


def test_a_page_without_a_role_is_named_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    hook = connect(monkeypatch, host=server.url, password=server.user_token)
    with pytest.raises((PermissionDeniedError, InvalidRequestError), match=r"role on that Page|task Messages"):
        hook.get_page("129", "MESSENGER")


def test_a_missing_connection_says_how_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", raising=False)
    with pytest.raises(AirflowNotFoundException, match="AIRFLOW_CONN_META_GRAPH_DEFAULT"):
        MetaGraphHook().get_conn()


@pytest.mark.parametrize("token", ["", "abc\n"])
def test_an_unusable_token_is_refused_before_any_call(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    with pytest.raises(TokenError, match="connection's password"):
        connect(monkeypatch, password=token).get_conn()


@pytest.mark.parametrize(
    ("connection", "says"),
    [
        ({"host": "graph.facebook.com"}, "write it with its scheme"),
        ({"extra": {"api_version": "26"}}, "write it as v26.0"),
        ({"extra": {"calls_per_second": 0}}, "a number above 0"),
        ({"extra": {"calls_per_second": "fast"}}, "a number above 0"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        connect(monkeypatch, password="token", **connection).get_conn()


def test_the_connection_test_says_whose_token_it_is(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer) -> None:
    hook = connect(monkeypatch, host=server.url, password=server.page_token("100"))
    works, told = hook.test_connection()
    assert works
    assert "id 100" in told


def test_the_connection_test_says_what_a_person_must_do(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    server.add_fault(Fault("190/463"))
    hook = connect(monkeypatch, host=server.url, password=server.user_token)
    works, told = hook.test_connection()
    assert not works
    assert "[190/463] The token has expired. Create a new Page token" in told
