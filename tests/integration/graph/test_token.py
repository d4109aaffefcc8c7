"""What Meta reports about a token takes few calls; where Meta reports little, nothing fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, Fault, World, WorldSettings
from airflow_provider_metaconv.emulator.tokens import SCOPES
from airflow_provider_metaconv.graph.auth import PageIdentity, list_pages
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.errors import (
    BlockedError,
    GraphError,
    RateLimitError,
    TokenError,
    TransientError,
    UnexpectedResponseError,
)
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.graph.request import Get
from airflow_provider_metaconv.graph.token import NEVER, TokenInfo, read_debug_token, token_and_pages, token_info

EXPIRES = datetime(2099, 1, 1, tzinfo=UTC)
NOBODY: frozenset[str] = frozenset()


def emulator(pages: int = 2, **settings: Any) -> EmulatorServer:
    return EmulatorServer(World.generate(WorldSettings(pages=pages, messages=0)), EmulatorSettings(**settings))


def opener(server: EmulatorServer) -> Callable[[Credentials], Get]:
    def opened(credentials: Credentials) -> Get:
        pacer = Pacer(1000)
        return GraphClient(requests.Session(), credentials, base_url=server.url, pacer=pacer, sleep=lambda _: None).get

    return opened


def inspect(server: EmulatorServer, token: str, secret: str | None = None) -> tuple[TokenInfo, int]:
    before = server.statistics()["calls"]
    info = token_info(Credentials(token, secret), opener(server))
    return info, server.statistics()["calls"] - before


def inspect_with_pages(
    server: EmulatorServer, token: str, secret: str | None = None
) -> tuple[TokenInfo, list[PageIdentity], int]:
    before = server.statistics()["calls"]
    info, found = token_and_pages(Credentials(token, secret), opener(server))
    return info, found, server.statistics()["calls"] - before


def test_the_app_secret_is_enough_to_inspect_any_token() -> None:
    with emulator(inspectors=frozenset({"APP"})) as server:
        for token, kind, owner in (
            (server.user_token, "USER", "Emulator User"),
            (server.system_user_token, "SYSTEM_USER", "Emulator System User"),
            (server.page_token("100"), "PAGE", "Example Bakery"),
        ):
            server.describe_token(token, expires_at=EXPIRES.timestamp(), data_access_expires_at=0)
            info, calls = inspect(server, token, server.app_secret)
            assert (kind, owner, "Emulator", 3) == (info.kind, info.owner, info.app, calls)
            assert (info.expires_at, info.data_access_expires_at) == (EXPIRES, NEVER)
            assert info.permissions == frozenset(SCOPES)


def test_without_a_secret_the_token_inspects_itself() -> None:
    with emulator() as server:
        info, calls = inspect(server, server.user_token)
        assert (info.kind, info.expires_at, calls) == ("USER", NEVER, 2)


@pytest.mark.parametrize("secret", [None, "emulator-app-secret"])
def test_a_refused_inspection_leaves_the_expiry_unknown(secret: str | None) -> None:
    with emulator(inspectors=NOBODY) as server:
        server.describe_token(server.system_user_token, permissions=["pages_messaging"])
        info, calls = inspect(server, server.system_user_token, secret)
        assert (info.kind, info.expires_at, info.data_access_expires_at) == (None, None, None)
        assert (frozenset({"pages_messaging"}), "Emulator System User") == (info.permissions, info.owner)
        assert 3 + (secret is not None) == calls
        page, calls = inspect(server, server.page_token("100"), secret)
        assert (page.kind, page.owner, page.permissions) == ("PAGE", "Example Bakery", None)
        assert 3 + (secret is not None) == calls


def test_listing_pages_costs_one_call_per_hundred_pages() -> None:
    with emulator(pages=150) as server:
        info, found, calls = inspect_with_pages(server, server.user_token)
        assert (len(found), calls, info.kind) == (150, 4, "USER")
        info, found, calls = inspect_with_pages(server, server.page_token("100"), server.app_secret)
        assert ([page.page_id for page in found], calls, info.owner) == (["100"], 3, "Example Bakery")


def test_a_pages_tasks_and_missing_instagram_account_are_reported() -> None:
    with emulator(page_tasks={"100": ("ANALYZE",)}, pages_without_instagram=frozenset({"101"})) as server:
        _, [first, second], _ = inspect_with_pages(server, server.user_token)
        assert (first.tasks, first.lacks_messages_task, second.lacks_messages_task) == (("ANALYZE",), True, False)
        assert [page.instagram_account_id is not None for page in (first, second)] == [True, False]


@pytest.mark.parametrize("secret", [None, "emulator-app-secret"])
@pytest.mark.parametrize("subcode", [None, 458, 459, 460, 463, 464, 467, 492, 493])
def test_an_invalid_token_is_reported_with_its_subcode(subcode: int | None, secret: str | None) -> None:
    with emulator() as server:
        server.service.tokens.expire(server.user_token, subcode)
        with pytest.raises(TokenError) as caught:
            inspect(server, server.user_token, secret)
        assert (190, subcode) == (caught.value.code, caught.value.subcode)


def test_a_token_past_its_expiry_is_reported_as_expired() -> None:
    with emulator() as server:
        server.describe_token(server.user_token, expires_at=1)
        with pytest.raises(TokenError, match=r"\[190/463\] The token has expired"):
            inspect(server, server.user_token)


def test_an_app_token_as_password_is_reported() -> None:
    with emulator() as server, pytest.raises(TokenError, match="This is an app token, which cannot read Pages"):
        inspect(server, server.app_token)


@pytest.mark.parametrize(("fault", "error"), [("4", RateLimitError), ("2", TransientError), ("368", BlockedError)])
def test_a_limit_or_an_outage_is_not_mistaken_for_a_refusal(fault: str, error: type[GraphError]) -> None:
    with emulator() as server:
        server.add_fault(Fault(fault, route="debug_token", times=9))
        with pytest.raises(error):
            inspect(server, server.user_token)


def test_pages_are_listed_without_access_to_instagram_accounts() -> None:
    with emulator() as server:
        server.add_fault(Fault("10", times=1))
        found = list_pages(opener(server)(Credentials(server.user_token)))
        assert [(page.page_id, page.instagram_account_id) for page in found] == [("100", None), ("101", None)]


@pytest.mark.parametrize("inspectors", [frozenset({"APP", "USER", "SYSTEM_USER", "PAGE"}), NOBODY])
def test_debug_logs_contain_no_token_secret_or_proof(
    inspectors: frozenset[str], caplog: pytest.LogCaptureFixture
) -> None:
    with emulator(inspectors=inspectors) as server, caplog.at_level(logging.DEBUG):
        for token in (server.user_token, server.page_token("100")):
            for secret in (None, server.app_secret):
                info, found, _ = inspect_with_pages(server, token, secret)
                credentials = Credentials(token, server.app_secret)
                shown = caplog.text + repr(info) + repr(found) + repr(credentials)
                secrets = (token, server.app_secret, server.app_token, *credentials.parameters.values())
                assert [text for text in secrets if text in shown] == []
    assert "input_token=***" in caplog.text


def test_no_error_shows_a_secret() -> None:
    with emulator() as server:
        server.service.tokens.expire(server.user_token, 463)
        for token in (server.user_token, "EAAunknowntoken123456", server.app_token):
            with pytest.raises(TokenError) as caught:
                inspect(server, token, server.app_secret)
            assert token not in str(caught.value) + repr(caught.value)
            assert server.app_secret not in str(caught.value)


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": []}, {"data": {"scopes": []}}])
def test_an_empty_inspection_is_an_error(body: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedResponseError):
        read_debug_token(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ("type", "application", "scopes", "granular_scopes", "expires_at", "data_access_expires_at", "error", "is_valid")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({"is_valid": st.just(True)}, optional=dict.fromkeys(KEYS[:-1], JSON)))
def test_a_valid_inspection_of_any_shape_is_read(data: dict[str, Any]) -> None:
    info = read_debug_token({"data": data})
    assert info.expires_at is None or info.expires_at.tzinfo is not None


@given(JSON)
def test_an_invalid_token_is_an_error_whatever_its_reason(error: Any) -> None:
    with pytest.raises(TokenError):
        read_debug_token({"data": {"is_valid": False, "error": error}})


def test_permissions_limited_to_pages_name_them() -> None:
    with emulator() as server:
        server.describe_token(server.user_token, targets={"pages_messaging": ["100"]})
        info, _ = inspect(server, server.user_token)
        assert info.targets == {"pages_messaging": frozenset({"100"})}
