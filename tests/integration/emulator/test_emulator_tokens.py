from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
import requests

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, World, WorldSettings, uniform_world

from .emulator_reader import get, rows


def error_of(answer: requests.Response) -> tuple[int, int, int | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error.get("error_subcode")


def bare(server: EmulatorServer, path: str, **parameters: Any) -> requests.Response:
    return requests.get(f"{server.url}/v26.0/{path}", params=parameters, timeout=5)


def proof(token: str, secret: str = "emulator-app-secret") -> str:
    return hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()


def test_each_route_requires_the_right_token(varied: EmulatorServer) -> None:
    thread = varied.world.conversations("100", "MESSENGER")[0]
    path = "100/conversations"
    assert error_of(bare(varied, path)) == (400, 104, None)
    assert error_of(get(varied, path, "nonsense")) == (400, 190, None)
    for private in (path, thread.id, f"{thread.id}/messages", thread.messages[0].id):
        refused = get(varied, private, varied.user_token)
        assert error_of(refused) == (400, 190, None)
        assert refused.json()["error"]["message"] == "(#190) This method must be called with a Page Access Token"
        assert error_of(get(varied, private, varied.page_token("101"))) == (403, 200, None)
        assert bare(varied, private, access_token=varied.page_token("100")).status_code == 200


def test_a_page_token_is_returned_only_to_owners_on_request(varied: EmulatorServer) -> None:
    fields = "id,name,access_token,tasks,instagram_business_account{id,username}"
    for token in (varied.user_token, varied.system_user_token, varied.page_token("100")):
        page = get(varied, "100", token, fields=fields).json()
        assert page["access_token"] == "emulator-page-token-100"
        assert page["instagram_business_account"] == {"id": "17841400000000100", "username": "emulated_shop_100"}
        assert get(varied, "100", token).json() == {"id": "100", "name": "Example Bakery"}
    assert error_of(get(varied, "100", varied.page_token("101"), fields=fields)) == (400, 100, 33)
    assert error_of(get(varied, "999", varied.user_token)) == (400, 100, 33)
    assert error_of(get(varied, "100", fields="nonsense")) == (400, 100, None)


def test_without_a_role_no_page_token_is_returned() -> None:
    settings = EmulatorSettings(pages_without_role=frozenset({"101"}))
    with EmulatorServer(World.generate(WorldSettings(pages=3, messages=0)), settings) as server:
        assert "access_token" not in get(server, "101", server.user_token, fields="id,access_token").json()
        assert [row["id"] for row in rows(server, "me/accounts", server.user_token)] == ["100", "102"]


def test_accounts_has_pages_of_25() -> None:
    with EmulatorServer(World.generate(WorldSettings(pages=60, messages=0))) as server:
        first = get(server, "me/accounts", server.user_token).json()
        assert (len(first["data"]), "next" in first["paging"]) == (25, True)
        assert [str(100 + number) for number in range(60)] == [
            row["id"] for row in rows(server, "me/accounts", server.user_token, fields="id,access_token", limit=7)
        ]
        followed = requests.get(first["paging"]["next"], timeout=5).json()
        assert followed["data"][0]["id"] == "125"
        assert error_of(get(server, "me/accounts")) == (400, 100, None)


def test_me_is_the_caller(varied: EmulatorServer) -> None:
    assert get(varied, "me", varied.user_token).json()["name"] == "Emulator User"
    assert get(varied, "me", varied.page_token("101")).json() == {"id": "101", "name": "Example Bikes"}
    assert get(varied, "100/conversations").json() == get(varied, "me/conversations").json()
    assert error_of(get(varied, "me/conversations", varied.user_token)) == (400, 190, None)


def test_debug_token_returns_the_owner(varied: EmulatorServer) -> None:
    facts = get(varied, "debug_token", varied.user_token, input_token=varied.page_token("101")).json()["data"]
    assert (facts["type"], facts["profile_id"], facts["is_valid"]) == ("PAGE", "101", True)
    assert "pages_messaging" in facts["scopes"]
    unknown = get(varied, "debug_token", varied.user_token, input_token="x").json()["data"]
    assert unknown["is_valid"] is False


def test_a_proof_is_checked_if_given_and_can_be_required() -> None:
    with EmulatorServer(uniform_world(1, 1)) as server:
        assert get(server, "100").status_code == 200
        assert get(server, "100", appsecret_proof=proof(server.page_token())).status_code == 200
        wrong = get(server, "100", appsecret_proof=proof(server.user_token))
        assert wrong.json()["error"]["message"] == "Invalid appsecret_proof provided in the API argument"
    with EmulatorServer(uniform_world(1, 1), EmulatorSettings(require_proof=True)) as server:
        missing = get(server, "100")
        assert error_of(missing) == (400, 100, None)
        assert missing.json()["error"]["message"].startswith("API calls from the server require an appsecret_proof")
        assert get(server, "100", appsecret_proof=proof(server.page_token())).status_code == 200


def test_tokens_are_expired_restored_and_rotated_over_http(small: EmulatorServer) -> None:
    admin = f"{small.url}/_emulator/tokens"
    old = small.page_token("100")
    requests.post(admin, json={"expire": True, "page_id": "100", "subcode": 463}, timeout=5)
    assert error_of(get(small, "100", old)) == (400, 190, 463)
    requests.post(admin, json={"restore": old}, timeout=5)
    assert get(small, "100", old).status_code == 200
    new = requests.post(admin, json={"rotate": True, "page_id": "100"}, timeout=5).json()["page_tokens"]["100"]
    assert new == small.page_token("100") != old
    assert error_of(get(small, "100", old)) == (400, 190, 460)
    assert get(small, "100", new).status_code == 200
    assert new == get(small, "100", small.user_token, fields="access_token").json()["access_token"]
    requests.post(admin, json={"expire": small.user_token, "subcode": 467}, timeout=5)
    assert error_of(get(small, "me", small.user_token)) == (400, 190, 467)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"expire": "nonsense"},
        {"expire": True, "page_id": "9"},
        {"rotate": True},
        {"rotate": True, "page_id": "9"},
        [1],
    ],
)
def test_a_bad_token_change_is_a_400_with_an_error(small: EmulatorServer, bad: Any) -> None:
    answer = requests.post(f"{small.url}/_emulator/tokens", json=bad, timeout=5)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize("version", ["v20.0", "v26.0"])
def test_supported_versions_are_served(small: EmulatorServer, version: str) -> None:
    url = f"{small.url}/{version}/100?access_token={small.page_token()}"
    answer = requests.get(url, timeout=5)
    assert (200, version) == (answer.status_code, answer.headers["facebook-api-version"])


def test_without_a_version_the_newest_one_is_served(small: EmulatorServer) -> None:
    answer = requests.get(f"{small.url}/100?access_token={small.page_token()}", timeout=5)
    assert (answer.status_code, answer.headers["facebook-api-version"]) == (200, "v26.0")


@pytest.mark.parametrize("path", ["v2.80/me", "v99.0/me", "26.0/me", "v19.0/me", "v26.5/me"])
def test_an_unknown_version_is_a_2500(small: EmulatorServer, path: str) -> None:
    answer = requests.get(f"{small.url}/{path}?access_token={small.page_token()}", timeout=5)
    assert error_of(answer) == (400, 2500, None)
    assert answer.json()["error"]["message"] == "Unknown path components: /me"


def test_the_emulator_is_read_only(small: EmulatorServer) -> None:
    answer = requests.post(f"{small.url}/v26.0/100/conversations?access_token={small.page_token()}", timeout=5)
    assert error_of(answer) == (400, 100, None)
