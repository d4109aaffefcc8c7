"""Tokens and proofs are sent correctly and never shown; a Page is found by its id, or the error says why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_metaconv.graph.auth import PageIdentity, list_pages, page_identity
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.errors import (
    Action,
    ErrorScope,
    GraphError,
    InvalidRequestError,
    PermissionDeniedError,
    TokenError,
    UnexpectedResponseError,
)
from tests.integration.graph.scripted_server import Reply, ScriptedServer, graph_error, reply


def test_the_proof_is_the_hmac_of_the_token_under_the_secret() -> None:
    # Computed with: printf token | openssl dgst -sha256 -hmac secret
    proof = "e941110e3d2bfe82621f0e3e1434730d7305d106c5f68c87165d0b27a4611a4a"
    assert Credentials("token", "secret").parameters == {"appsecret_proof": proof}


def test_without_a_secret_no_proof_is_sent() -> None:
    assert Credentials("token").parameters == {}


@pytest.mark.parametrize("token", ["", "abc\n", "a b", "tok\u00e9n", "abc\tdef", " abc"])
def test_an_unsendable_token_is_rejected_with_advice(token: str) -> None:
    with pytest.raises(TokenError, match="connection's password") as caught:
        Credentials(token)
    assert token.strip() == "" or token.strip() not in str(caught.value)


def test_secrets_are_not_in_the_representation() -> None:
    shown = repr(Credentials("s3cret-token", "s3cret-app")) + repr(PageIdentity("1", "P", "s3cret-page"))
    assert "s3cret" not in shown
    assert Credentials("s3cret-token", "s3cret-app").parameters["appsecret_proof"] not in shown


PAGE = {"id": "100", "name": "Example Page", "access_token": "page-token"}
NO_EDGE = graph_error(100, "(#100) Tried accessing nonexisting field (accounts) on node type (Page)")
NOT_REVIEWED = graph_error(10, "(#10) To use 'Page Public Content Access', your use of this endpoint must be reviewed.")


def server_of(**replies: Reply | list[Reply]) -> ScriptedServer:
    """Replies by path: ``page`` for the Page's own, ``me`` and ``accounts``; those of a list one after the other."""
    names = {"100": "page", "me": "me", "me/accounts": "accounts"}

    def respond(path: str, _: dict[str, str]) -> Reply:
        found = replies[names[path]]
        return found if isinstance(found, tuple) else found.pop(0) if len(found) > 1 else found[0]

    return ScriptedServer(respond)


def test_a_pages_token_ids_and_username_take_one_call() -> None:
    instagram = {"id": "17841400000000001", "username": "example_shop"}
    with server_of(page=reply(PAGE | {"instagram_business_account": instagram})) as server:
        found = page_identity(server.client().get, "100", with_instagram=True)
        assert server.paths == ["100"]
    assert found == PageIdentity("100", "Example Page", "page-token", "17841400000000001", None, "example_shop")
    assert found.own_ids == {"100", "17841400000000001"}


def test_a_refused_page_node_is_found_among_the_accounts() -> None:
    with server_of(page=NOT_REVIEWED, accounts=reply({"data": [{"id": "7"}, PAGE]})) as server:
        assert page_identity(server.client().get, "100", with_instagram=False).token == "page-token"
        assert server.paths == ["100", "me/accounts"]


def test_a_refused_page_outside_the_accounts_names_the_permission() -> None:
    server = server_of(page=NOT_REVIEWED, accounts=reply({"data": []}))
    with server, pytest.raises(PermissionDeniedError) as caught:
        page_identity(server.client().get, "100", with_instagram=False)
    error = caught.value
    assert (error.code, error.action, error.scope) == (10, Action.FAIL, ErrorScope.PAGE)
    assert "pages_read_engagement" in str(error)
    assert "Page Public Content Access" in str(error)


@pytest.mark.parametrize("page", [reply({"id": "100", "name": "Example Page"}), NOT_REVIEWED])
def test_the_token_of_another_page_is_reported(page: Reply) -> None:
    me = reply({"id": "200", "name": "Another\nPage"})
    with server_of(page=page, accounts=NO_EDGE, me=me) as server:
        with pytest.raises(
            PermissionDeniedError, match=r"^This is the token of Page 200 \(Another Page\), not of Page 100"
        ):
            page_identity(server.client().get, "100", with_instagram=False)
        assert server.paths == ["100", "me/accounts", "me"]


def test_a_page_token_that_cannot_read_itself_names_the_permission() -> None:
    server = server_of(page=NOT_REVIEWED, accounts=NO_EDGE, me=reply({"id": "100", "name": "Example Page"}))
    with server, pytest.raises(PermissionDeniedError, match="pages_read_engagement"):
        page_identity(server.client().get, "100", with_instagram=False)


MALFORMED_NODES: list[Any] = [
    {},
    {"id": "200", "access_token": "other"},
    {"error_msg": "?"},
    {"data": []},
    PAGE | {"access_token": None},
    PAGE | {"access_token": "two words"},
    PAGE | {"access_token": ""},
    PAGE | {"id": 100},
    PAGE | {"instagram_business_account": {"id": "x/../y"}},
    PAGE | {"instagram_business_account": "17841400000000001"},
]


@pytest.mark.parametrize("node", MALFORMED_NODES)
def test_a_malformed_page_is_requested_again(node: dict[str, Any]) -> None:
    with server_of(page=[reply(node), reply(PAGE)]) as server:
        assert page_identity(server.client().get, "100", with_instagram=False).token == "page-token"
        assert server.paths == ["100", "100"]


@pytest.mark.parametrize("node", MALFORMED_NODES)
def test_a_page_that_stays_malformed_is_retried_later(node: dict[str, Any]) -> None:
    with server_of(page=reply(node)) as server, pytest.raises(UnexpectedResponseError) as caught:
        page_identity(server.client().get, "100", with_instagram=False)
    assert caught.value.action is Action.RETRY


@pytest.mark.parametrize(
    "refusal", [graph_error(100, "Unsupported get request.", error_subcode=33), graph_error(803, "no such alias")]
)
def test_a_missing_page_needs_human_action(refusal: Reply) -> None:
    accounts = reply({"data": []})
    with (
        server_of(page=refusal, accounts=accounts) as server,
        pytest.raises(InvalidRequestError, match="Check page_id") as caught,
    ):
        page_identity(server.client().get, "100", with_instagram=False)
    assert (caught.value.action, caught.value.scope) == (Action.FAIL, ErrorScope.PAGE)


@pytest.mark.parametrize("page_id", ["", "me", "100/..", "1?x", "\u0661"])
def test_an_invalid_page_id_is_never_requested(page_id: str) -> None:
    with server_of() as server, pytest.raises(InvalidRequestError, match="only digits"):
        page_identity(server.client().get, page_id, with_instagram=False)
    assert server.requests == []


def test_a_page_without_instagram_is_reported() -> None:
    with (
        server_of(page=reply(PAGE)) as server,
        pytest.raises(InvalidRequestError, match="no visible linked Instagram account"),
    ):
        page_identity(server.client().get, "100", with_instagram=True)


@pytest.mark.parametrize("body", [{}, {"data": [{"id": "../me"}]}, {"data": [{"name": "no id"}]}, {"data": [None]}])
def test_a_malformed_list_of_pages_is_requested_again(body: dict[str, Any]) -> None:
    with server_of(accounts=[reply(body), reply({"data": [PAGE]})]) as server:
        assert [page.page_id for page in list_pages(server.client().get)] == ["100"]


def test_a_page_token_lists_its_own_page() -> None:
    with server_of(accounts=NO_EDGE, me=reply(PAGE)) as server:
        assert list_pages(server.client().get) == [PageIdentity("100", "Example Page", "page-token")]


@pytest.mark.parametrize("call", [lambda get: page_identity(get, "100", with_instagram=False), list_pages])
def test_an_outage_is_not_mistaken_for_a_refusal(call: Callable[[Any], object]) -> None:
    outage = graph_error(2, "later", 500)
    with server_of(page=outage, accounts=outage) as server, pytest.raises(GraphError) as caught:
        call(server.client().get)
    assert caught.value.action is Action.RETRY
