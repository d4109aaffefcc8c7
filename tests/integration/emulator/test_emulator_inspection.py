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
        assert facts(server, server.system_user_token)["type"] == "SYSTEM_USER"
        assert facts(server, server.system_user_token, by=server.user_token)["type"] == "SYSTEM_USER"
        for token in (server.system_user_token, server.page_token("100")):
            refused = get(server, "debug_token", token, input_token=token)
            assert error_of(refused) == (100, None)
            assert "You must provide an app access token" in refused.json()["error"]["message"]
    with emulator(inspectors=frozenset({"PAGE"})) as server:
        assert facts(server, server.page_token("100"), by=server.page_token("100"))["type"] == "PAGE"
        assert error_of(get(server, "debug_token", server.app_token, input_token="x")) == (100, None)


def test_tokens_are_inspected_with_get_only() -> None:
    with emulator() as server:
        headers = {"Authorization": f"Bearer {server.app_token}"}
        body = {"input_token": server.user_token}
        answer = requests.post(f"{server.url}/v26.0/debug_token", data=body, headers=headers, timeout=5)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)


def test_permissions_and_expiry_of_a_token_are_set_over_http() -> None:
    with emulator() as server:
        described = {
            "describe": server.user_token,
            "expires_at": "2099-01-01T00:00:00+00:00",
            "data_access_expires_at": 4_000_000_000,
            "permissions": ["pages_show_list", "pages_messaging"],
            "targets": {"pages_messaging": ["101"]},
        }
        assert describe(server, **described).status_code == 200
        reported = facts(server, server.user_token)
        assert (reported["expires_at"], reported["data_access_expires_at"]) == (4_070_908_800, 4_000_000_000)
        assert reported["scopes"] == ["pages_show_list", "pages_messaging"]
        granular = [{"scope": "pages_show_list"}, {"scope": "pages_messaging", "target_ids": ["101"]}]
        assert granular == reported["granular_scopes"]
        granted = rows(server, "me/permissions", server.user_token)
        assert {"permission": "pages_messaging", "status": "granted"} in granted
        assert {"permission": "instagram_basic", "status": "declined"} in granted
        assert describe(server, describe=True, page_id="100", expires_at=0).status_code == 200
        assert facts(server, server.page_token("100"))["expires_at"] == 0


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
        assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_a_token_is_valid_until_it_expires() -> None:
    now = [1000.0]
    with emulator(clock=lambda: now[0]) as server:
        server.describe_token(server.user_token, expires_at=2000)
        assert get(server, "me", server.user_token).status_code == 200
        now[0] = 2000
        assert error_of(get(server, "me", server.user_token)) == (190, 463)
        reported = facts(server, server.user_token)
        assert (reported["is_valid"], reported["error"]["subcode"]) == (False, 463)


def test_a_token_without_the_permission_for_a_platform_is_rejected() -> None:
    with emulator() as server:
        server.describe_token(server.page_token("100"), permissions=["instagram_manage_messages"])
        assert error_of(get(server, "100/conversations")) == (230, None)
        assert get(server, "100/conversations", platform="instagram").status_code == 200
        server.describe_token(server.page_token("100"), permissions=["pages_messaging"])
        assert get(server, "100/conversations").status_code == 200
        assert error_of(get(server, "100/conversations", platform="instagram")) == (10, None)


def test_every_token_reads_the_app_and_the_app_token_nothing_else() -> None:
    with emulator() as server:
        for token in (server.user_token, server.page_token("100"), server.app_token):
            assert get(server, "app", token, fields="id").json() == {"id": "1"}
        for path in ("me", "me/accounts", "me/permissions"):
            assert error_of(get(server, path, server.app_token)) == (2500, None)
        assert error_of(get(server, "100", server.app_token)) == (100, 33)
        assert facts(server, server.app_token)["type"] == "APP"


def test_a_page_token_has_no_permissions_edge() -> None:
    with emulator() as server:
        refused = get(server, "me/permissions", server.page_token("100"))
        assert "(#100) Tried accessing nonexisting field (permissions) on node type (Page)" in refused.text


def test_accounts_show_instagram_tasks_and_require_permission() -> None:
    with emulator(pages_without_instagram=frozenset({"101"}), page_tasks={"102": ("ANALYZE",)}) as server:
        fields = "id,tasks,instagram_business_account{id,username}"
        first, second, third = rows(server, "me/accounts", server.user_token, fields=fields)
        assert ["instagram_business_account" in page for page in (first, second, third)] == [True, False, True]
        assert (third["tasks"], "MESSAGING" in first["tasks"]) == (["ANALYZE"], True)
        server.describe_token(server.user_token, permissions=["pages_messaging"])
        assert rows(server, "me/accounts", server.user_token) == []
