"""The hook turns a Connection into a client, and bad Connections into one line that says what to change."""

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


def test_a_page_is_read_with_its_own_token_and_the_proof(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    extra = {"app_secret": server.app_secret, "api_version": "v25.0", "calls_per_second": 100}
    hook = connect(monkeypatch, host=server.url, password=server.user_token, extra=extra)
    page = hook.get_page("103", "INSTAGRAM")
    assert server.page_token("103") == page.identity.token
    answer = page.client.get("103/conversations", {"platform": "instagram"})
    assert "data" in answer


def test_all_pages_of_a_user_token_are_listed_without_their_tokens(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    hook = connect(monkeypatch, host=server.url, password=server.system_user_token)
    pages = hook.list_pages()
    assert [str(100 + number) for number in range(29)] == sorted(page["page_id"] for page in pages)
    assert {"page_id", "name", "instagram_account_id", "tasks", "lacks_messages_task"} == set(pages[0])
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


def test_a_page_without_a_role_is_named_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    hook = connect(monkeypatch, host=server.url, password=server.user_token)
    with pytest.raises((PermissionDeniedError, InvalidRequestError), match=r"role on that Page|the Messages task"):
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
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
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
def test_a_misspelled_setting_is_refused_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    hook = connect(monkeypatch, password="token", extra={written: "s3cret"})
    works, told = hook.test_connection()
    assert (works, told) == (False, f"'{written}' in the connection's extra is not a setting: use {meant}.")


@pytest.mark.parametrize("key", ["EAABsbCS1iHgBAKZC0123456789", "", "app_secret" * 9, "app_secret\n"])
def test_a_key_that_is_like_no_setting_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"an unknown key: the settings are api_version, app_secret"
    ) as caught:
        connect(monkeypatch, password="token", extra={key: 1}).get_conn()
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("name", ["api_version", "calls_per_second", "call_timeout", "max_response_mib"])
@pytest.mark.parametrize(
    "value", ["EAABsbCS1iHgBAKZC", ["EAABsbCS1iHgBAKZC"], {"x": "EAABsbCS1iHgBAKZC"}, False, 1e999]
)
def test_a_setting_of_the_wrong_type_is_named_and_its_value_is_not(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    with pytest.raises(InvalidRequestError, match=name) as caught:
        connect(monkeypatch, password="token", extra={name: value}).get_conn()
    assert (len(str(caught.value).splitlines()), "EAAB" in str(caught.value)) == (1, False)


@pytest.mark.parametrize("extra", ["{", "[]", '"x"', "1" * 5000, "[" * 100_000])
def test_an_extra_that_is_no_json_object_is_refused(extra: str) -> None:
    with pytest.raises(InvalidRequestError, match="extra must be a JSON object"):
        ConnectionExtra(extra)


@pytest.mark.parametrize("empty", [None, "", " "])
def test_a_setting_that_the_form_leaves_empty_is_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer, empty: str | None
) -> None:
    extra = dict.fromkeys(CONNECTION_FIELDS, empty)
    hook = connect(monkeypatch, host=server.url, password=server.page_token("100"), extra=extra)
    assert hook.get_conn().get("me")["id"] == "100"


def test_a_secret_with_spaces_around_it_is_the_secret(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer) -> None:
    extra = {"app_secret": f" {server.app_secret}\n", "calls_per_second": " 50 "}
    hook = connect(monkeypatch, host=server.url, password=server.page_token("100"), extra=extra)
    assert hook.get_conn().get("me")["id"] == "100"


def test_the_connection_test_says_whose_token_it_is_and_what_it_reads(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    told = {}
    for token in (server.page_token("100"), server.user_token, server.system_user_token):
        extra = {"app_secret": server.app_secret, "calls_per_second": 100}
        before = server.statistics()["calls"]
        works, told[token] = connect(monkeypatch, host=server.url, password=token, extra=extra).test_connection()
        assert (works, len(told[token].splitlines())) == (True, 1)
        assert 3 + (token != server.page_token("100")) == server.statistics()["calls"] - before
    assert "This is the Page token of Example Bakery (id 100, app Emulator)." in told[server.page_token("100")]
    assert "This is the system user token of Emulator System User" in told[server.system_user_token]
    assert "It can read 28 Pages: Example Bakery (id 100: MESSENGER and INSTAGRAM)" in told[server.user_token]
    assert "and 23 more." in told[server.user_token]


def test_the_connection_test_says_which_permissions_are_missing_and_when_the_token_ends(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    token = server.page_token("104")
    server.describe_token(token, permissions=["pages_messaging"], expires_at="2099-01-01T00:00:00+00:00")
    extra = {"app_secret": server.app_secret, "calls_per_second": 100}
    works, told = connect(monkeypatch, host=server.url, password=token, extra=extra).test_connection()
    assert works
    assert "It lacks pages_manage_metadata, pages_read_engagement for MESSENGER and" in told
    assert "It expires on 2099-01-01 00:00 UTC" in told
    server.describe_token(token, permissions=[])
    works, told = connect(monkeypatch, host=server.url, password=token, extra=extra).test_connection()
    assert (works, "It sees 1 Page but can read none." in told) == (False, True)


def test_a_refused_inspection_alone_does_not_fail_the_connection_test(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    works, told = connect(monkeypatch, host=server.url, password=server.page_token("100")).test_connection()
    assert works
    assert "Meta does not report when it expires" in told


def test_the_connection_test_says_what_a_person_must_do(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer
) -> None:
    server.add_fault(Fault("190/463", times=9))
    hook = connect(monkeypatch, host=server.url, password=server.user_token)
    works, told = hook.test_connection()
    assert not works
    assert "[190/463] The token has expired. Create a new Page, system user or user token" in told


@pytest.mark.parametrize("conn_type", ["http", "", "postgres", "meta_graph2"])
def test_the_password_of_a_connection_of_another_type_is_sent_nowhere(
    monkeypatch: pytest.MonkeyPatch, server: EmulatorServer, conn_type: str
) -> None:
    calls = server.statistics()["calls"]
    hook = connect(monkeypatch, conn_type=conn_type, host=server.url, password=server.user_token)
    says = "Connection 'meta_graph_default' is not of type meta_graph: choose one that is."
    for ask in (hook.get_conn, hook.list_pages, hook.token_info, lambda: hook.get_page("100", "MESSENGER")):
        with pytest.raises(InvalidRequestError) as caught:
            ask()
        assert says == str(caught.value)
    assert (False, says) == hook.test_connection()
    assert calls == server.statistics()["calls"]
