"""The hook turns a Connection into a client, and reports an invalid one in one line with advice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, Fault, World, WorldSettings
from airflow_provider_metaconv.get_provider_info import CONNECTION_FIELDS
from airflow_provider_metaconv.graph.errors import InvalidRequestError, PermissionDeniedError, TokenError
from airflow_provider_metaconv.hooks.connection_extra import ConnectionExtra
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    world = World.generate(WorldSettings(pages=30, messages=60, now=datetime(2026, 11, 20, tzinfo=UTC)))
    settings = EmulatorSettings(
        pages_without_role=frozenset({"129"}),
        pages_without_instagram=frozenset({"101"}),
        page_tasks={"102": ("ANALYZE",)},
    )
    with EmulatorServer(world, settings) as server:
        yield server


@pytest.fixture
def server(running: EmulatorServer) -> Iterator[EmulatorServer]:
    yield running
    running.clear_faults()


def connect(monkeypatch: pytest.MonkeyPatch, **connection: Any) -> MetaGraphHook:
    monkeypatch.setenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", json.dumps({"conn_type": "meta_graph", **connection}))
    return MetaGraphHook()


def test_a_page_is_read_with_its_own_token_and_proof(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer) -> None:
    extra = {"app_secret": server.app_secret, "api_version": "v25.0", "calls_per_second": 100}
    hook = connect(monkeypatch, host=server.url, password=server.user_token, extra=extra)
    page = hook.get_page("103", "INSTAGRAM")
    assert server.page_token("103") == page.identity.token
    response = page.client.get("103/conversations", {"platform": "instagram"})
    assert "data" in response


def test_all_pages_of_a_user_token_are_listed_without_their_tokens(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    hook = connect(monkeypatch, host=server.url, password=server.system_user_token)
    pages = hook.list_pages()
    assert [str(100 + number) for number in range(29)] == sorted(page["page_id"] for page in pages)
    assert set(pages[0]) == {"page_id", "name", "instagram_account_id", "tasks", "lacks_messages_task"}
    assert "emulator-page-token" not in str(pages)


def test_a_page_that_cannot_be_read_is_listed_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    hook = connect(monkeypatch, host=server.url, password=server.user_token)
    whole, without_instagram, without_task = hook.list_pages()[:3]
    assert (whole["instagram_account_id"], whole["lacks_messages_task"]) == ("17841400000000100", False)
    assert (without_instagram["instagram_account_id"], without_instagram["lacks_messages_task"]) == (None, False)
    assert (without_task["tasks"], without_task["lacks_messages_task"]) == (["ANALYZE"], True)


def test_a_page_token_lists_its_own_page_without_tasks(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer) -> None:
    [page] = connect(monkeypatch, host=server.url, password=server.page_token("100")).list_pages()
    assert (page["page_id"], page["tasks"], page["lacks_messages_task"]) == ("100", None, False)


def test_a_page_without_a_role_is_reported(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer) -> None:
    hook = connect(monkeypatch, host=server.url, password=server.user_token)
    with pytest.raises((PermissionDeniedError, InvalidRequestError), match=r"role on that Page|the Messages task"):
        hook.get_page("129", "MESSENGER")


def test_a_missing_meta_connection_is_reported_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", raising=False)
    with pytest.raises(AirflowNotFoundException, match="AIRFLOW_CONN_META_GRAPH_DEFAULT"):
        MetaGraphHook().get_conn()


@pytest.mark.parametrize("token", ["", "abc\n"])
def test_an_unusable_token_is_rejected_before_any_call(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    with pytest.raises(TokenError, match="connection's password"):
        connect(monkeypatch, password=token).get_conn()


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ({"host": "graph.facebook.com"}, "must be a web address with its scheme"),
        ({"extra": {"api_version": "26"}}, "api_version must be a version such as v26.0"),
        ({"extra": {"calls_per_second": 0}}, "a number greater than 0"),
        ({"extra": {"calls_per_second": "fast"}}, "a number greater than 0"),
        ({"extra": {"calls_per_second": True}}, "a number greater than 0"),
        (
            {"extra": {"max_response_mib": -1}},
            "max_response_mib .* greater than 0, such as 64",
        ),
        (
            {"extra": {"call_timeout": "long"}},
            "call_timeout .* greater than 0, such as 90",
        ),
        ({"extra": {"api_version": 26.0}}, "api_version in the connection's extra must be a JSON string"),
        ({"extra": {"app_secret": 12e4}}, "app_secret in the connection's extra must be a JSON string"),
    ],
)
def test_an_invalid_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InvalidRequestError, match=expected):
        connect(monkeypatch, password="token", **connection).get_conn()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("app_secrets", "app_secret"),
        ("appSecret", "app_secret"),
        ("api-version", "api_version"),
        ("version", "api_version"),
        ("calls_per_sec", "calls_per_second"),
        ("callspersecond", "calls_per_second"),
        ("extra__meta_graph__app_secret", "app_secret"),
        ("timeout", "call_timeout"),
    ],
)
def test_a_misspelled_setting_is_rejected_with_a_suggestion(
    monkeypatch: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    hook = connect(monkeypatch, password="token", extra={written: "s3cret"})
    works, message = hook.test_connection()
    assert (works, message) == (False, f"'{written}' in the connection's extra is not a setting: use {meant}.")


@pytest.mark.parametrize("key", ["EAABsbCS1iHgBAKZC0123456789", "", "app_secret" * 9, "app_secret\n"])
def test_an_unknown_key_is_rejected_but_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"an unknown key: the settings are api_version, app_secret"
    ) as caught:
        connect(monkeypatch, password="token", extra={key: 1}).get_conn()
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("name", ["api_version", "calls_per_second", "call_timeout", "max_response_mib"])
@pytest.mark.parametrize(
    "value", ["EAABsbCS1iHgBAKZC", ["EAABsbCS1iHgBAKZC"], {"x": "EAABsbCS1iHgBAKZC"}, False, 1e999]
)
def test_a_setting_of_the_wrong_type_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    with pytest.raises(InvalidRequestError, match=name) as caught:
        connect(monkeypatch, password="token", extra={name: value}).get_conn()
    assert (len(str(caught.value).splitlines()), "EAAB" in str(caught.value)) == (1, False)


@pytest.mark.parametrize("extra", ["{", "[]", '"x"', "1" * 5000, "[" * 100_000])
def test_the_extra_must_be_a_json_object(extra: str) -> None:
    with pytest.raises(InvalidRequestError, match="extra must be a JSON object"):
        ConnectionExtra(extra)


@pytest.mark.parametrize("empty", [None, "", " "])
def test_an_empty_form_field_is_ignored(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer, empty: str | None
) -> None:
    extra = dict.fromkeys(CONNECTION_FIELDS, empty)
    hook = connect(monkeypatch, host=server.url, password=server.page_token("100"), extra=extra)
    assert hook.get_conn().get("me")["id"] == "100"


def test_whitespace_around_a_secret_is_ignored(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer) -> None:
    extra = {"app_secret": f" {server.app_secret}\n", "calls_per_second": " 50 "}
    hook = connect(monkeypatch, host=server.url, password=server.page_token("100"), extra=extra)
    assert hook.get_conn().get("me")["id"] == "100"


def test_the_connection_test_reports_the_tokens_owner_and_pages(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    messages = {}
    for token in (server.page_token("100"), server.user_token, server.system_user_token):
        extra = {"app_secret": server.app_secret, "calls_per_second": 100}
        before = server.statistics()["calls"]
        works, messages[token] = connect(monkeypatch, host=server.url, password=token, extra=extra).test_connection()
        assert (works, len(messages[token].splitlines())) == (True, 1)
        assert 3 + (token != server.page_token("100")) == server.statistics()["calls"] - before
    assert "This is the Page token of Example Bakery (id 100, app Emulator)." in messages[server.page_token("100")]
    assert "This is the system user token of Emulator System User" in messages[server.system_user_token]
    assert "It can read 28 Pages: Example Bakery (id 100: MESSENGER and INSTAGRAM)" in messages[server.user_token]
    assert "and 23 more." in messages[server.user_token]


def test_the_connection_test_reports_missing_permissions_and_expiry(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    token = server.page_token("104")
    server.describe_token(token, permissions=["pages_messaging"], expires_at="2099-01-01T00:00:00+00:00")
    extra = {"app_secret": server.app_secret, "calls_per_second": 100}
    works, message = connect(monkeypatch, host=server.url, password=token, extra=extra).test_connection()
    assert works
    assert "It lacks pages_manage_metadata, pages_read_engagement for MESSENGER and" in message
    assert "It expires on 2099-01-01 00:00 UTC" in message
    server.describe_token(token, permissions=[])
    works, message = connect(monkeypatch, host=server.url, password=token, extra=extra).test_connection()
    assert (works, "It sees 1 Page but can read none." in message) == (False, True)


def test_a_refused_inspection_alone_does_not_fail_the_connection_test(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    works, message = connect(monkeypatch, host=server.url, password=server.page_token("100")).test_connection()
    assert works
    assert "Meta does not report when it expires" in message


def test_the_connection_test_gives_advice(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer) -> None:
    server.add_fault(Fault("190/463", times=9))
    hook = connect(monkeypatch, host=server.url, password=server.user_token)
    works, message = hook.test_connection()
    assert not works
    assert "[190/463] The token has expired. Create a new Page, system user or user token" in message


@pytest.mark.parametrize("conn_type", ["http", "", "postgres", "meta_graph2"])
def test_the_password_of_another_connection_type_is_never_sent(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer, conn_type: str
) -> None:
    calls = server.statistics()["calls"]
    hook = connect(monkeypatch, conn_type=conn_type, host=server.url, password=server.user_token)
    expected = "Connection 'meta_graph_default' is not of type meta_graph: choose one that is."
    for call in (hook.get_conn, hook.list_pages, hook.token_info, lambda: hook.get_page("100", "MESSENGER")):
        with pytest.raises(InvalidRequestError) as caught:
            call()
        assert str(caught.value) == expected
    assert hook.test_connection() == (False, expected)
    assert calls == server.statistics()["calls"]
