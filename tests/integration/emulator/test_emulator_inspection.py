"""Permissions and expiry of tokens: ``/debug_token``, ``/me/permissions``, ``/app``, and the admin route for tokens."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, World, WorldSettings

from .emulator_reader import get, rows


def emulator(**settings: Any) -> EmulatorServer:
    return EmulatorServer(World.generate(WorldSettings(pages=3, messages=60)), EmulatorSettings(**settings))


def error_of(answer: requests.Response) -> tuple[int, int | None]:
    error = answer.json()["error"]
    return error["code"], error.get("error_subcode")


def facts(server: EmulatorServer, token: str, by: str | None = None) -> dict[str, Any]:
    data: dict[str, Any] = get(server, "debug_token", by or server.app_token, input_token=token).json()["data"]
    return data


def describe(server: EmulatorServer, **body: Any) -> requests.Response:
    return requests.post(f"{server.url}/_emulator/tokens", json=body, timeout=5)


def test_only_the_app_and_its_developers_may_inspect_tokens() -> None:
    with emulator() as server:
        assert "SYSTEM_USER" == facts(server, server.system_user_token)["type"]
        assert "SYSTEM_USER" == facts(server, server.system_user_token, by=server.user_token)["type"]
        for token in (server.system_user_token, server.page_token("100")):
            refused = get(server, "debug_token", token, input_token=token)
            assert (100, None) == error_of(refused)
            assert "You must provide an app access token" in refused.json()["error"]["message"]
    with emulator(inspectors=frozenset({"PAGE"})) as server:
        assert "PAGE" == facts(server, server.page_token("100"), by=server.page_token("100"))["type"]
        assert (100, None) == error_of(get(server, "debug_token", server.app_token, input_token="x"))


def test_tokens_are_inspected_with_get_only() -> None:
    with emulator() as server:
        headers = {"Authorization": f"Bearer {server.app_token}"}
        body = {"input_token": server.user_token}
        answer = requests.post(f"{server.url}/v26.0/debug_token", data=body, headers=headers, timeout=5)
        assert (400, 100) == (answer.status_code, answer.json()["error"]["code"])


def test_permissions_and_expiry_of_a_token_are_set_over_http() -> None:
    with emulator() as server:
        described = {
            "describe": server.user_token,
            "expires_at": "2099-01-01T00:00:00+00:00",
            "data_access_expires_at": 4_000_000_000,
            "permissions": ["pages_show_list", "pages_messaging"],
            "targets": {"pages_messaging": ["101"]},
        }
        assert 200 == describe(server, **described).status_code
        reported = facts(server, server.user_token)
        assert (4_070_908_800, 4_000_000_000) == (reported["expires_at"], reported["data_access_expires_at"])
        assert ["pages_show_list", "pages_messaging"] == reported["scopes"]
        granular = [{"scope": "pages_show_list"}, {"scope": "pages_messaging", "target_ids": ["101"]}]
        assert granular == reported["granular_scopes"]
        granted = rows(server, "me/permissions", server.user_token)
        assert {"permission": "pages_messaging", "status": "granted"} in granted
        assert {"permission": "instagram_basic", "status": "declined"} in granted
        assert 200 == describe(server, describe=True, page_id="100", expires_at=0).status_code
        assert 0 == facts(server, server.page_token("100"))["expires_at"]


@pytest.mark.parametrize(
    "bad",
    [
        {"describe": "nonsense"},
        {"describe": True},
        {"describe": True, "page_id": "100", "colour": "red"},
        {"describe": True, "page_id": "100", "expires_at": "2099-01-01T00:00:00"},
        {"describe": True, "page_id": "100", "permissions": 3},
    ],
)
def test_a_bad_token_description_is_a_400_with_an_error(bad: dict[str, Any]) -> None:
    with emulator() as server:
        answer = describe(server, **bad)
        assert (400, ["error"]) == (answer.status_code, list(answer.json()))


def test_a_token_is_valid_until_it_expires() -> None:
    now = [1000.0]
    with emulator(clock=lambda: now[0]) as server:
        server.describe_token(server.user_token, expires_at=2000)
        assert 200 == get(server, "me", server.user_token).status_code
        now[0] = 2000
        assert (190, 463) == error_of(get(server, "me", server.user_token))
        reported = facts(server, server.user_token)
        assert (False, 463) == (reported["is_valid"], reported["error"]["subcode"])


def test_a_token_without_the_permission_for_a_platform_is_rejected() -> None:
    with emulator() as server:
        server.describe_token(server.page_token("100"), permissions=["instagram_manage_messages"])
        assert (230, None) == error_of(get(server, "100/conversations"))
        assert 200 == get(server, "100/conversations", platform="instagram").status_code
        server.describe_token(server.page_token("100"), permissions=["pages_messaging"])
        assert 200 == get(server, "100/conversations").status_code
        assert (10, None) == error_of(get(server, "100/conversations", platform="instagram"))


def test_every_token_may_read_the_app_and_the_app_token_reads_no_data() -> None:
    with emulator() as server:
        for token in (server.user_token, server.page_token("100"), server.app_token):
            assert {"id": "1"} == get(server, "app", token, fields="id").json()
        for path in ("me", "me/accounts", "me/permissions"):
            assert (2500, None) == error_of(get(server, path, server.app_token))
        assert (100, 33) == error_of(get(server, "100", server.app_token))
        assert "APP" == facts(server, server.app_token)["type"]


def test_a_page_token_has_no_permissions_edge() -> None:
    with emulator() as server:
        refused = get(server, "me/permissions", server.page_token("100"))
        assert "(#100) Tried accessing nonexisting field (permissions) on node type (Page)" in refused.text


def test_pages_without_instagram_or_tasks_and_tokens_that_may_not_list_pages() -> None:
    with emulator(pages_without_instagram=frozenset({"101"}), page_tasks={"102": ("ANALYZE",)}) as server:
        fields = "id,tasks,instagram_business_account{id,username}"
        first, second, third = rows(server, "me/accounts", server.user_token, fields=fields)
        assert [True, False, True] == ["instagram_business_account" in page for page in (first, second, third)]
        assert (["ANALYZE"], True) == (third["tasks"], "MESSAGING" in first["tasks"])
        server.describe_token(server.user_token, permissions=["pages_messaging"])
        assert [] == rows(server, "me/accounts", server.user_token)
