"""Tokens are sent in the header, proofs are right, and neither shows up where people read."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_metaconv.graph.auth import Credentials, PageIdentity, SecretFilter, scrub
from airflow_provider_metaconv.graph.errors import TokenError


def test_the_proof_is_the_hmac_of_the_token_under_the_secret() -> None:
    # Computed with: printf token | openssl dgst -sha256 -hmac secret
    proof = "e941110e3d2bfe82621f0e3e1434730d7305d106c5f68c87165d0b27a4611a4a"
    assert {"appsecret_proof": proof} == Credentials("token", "secret").parameters


def test_without_a_secret_no_proof_is_sent() -> None:
    assert {} == Credentials("token").parameters


@pytest.mark.parametrize("token", ["", "abc\n", "a b", "tok\u00e9n", "abc\tdef", " abc"])
def test_a_token_that_cannot_be_sent_is_refused_with_what_to_do(token: str) -> None:
    with pytest.raises(TokenError, match="connection's password") as caught:
        Credentials(token)
    assert token.strip() == "" or token.strip() not in str(caught.value)


def test_secrets_are_not_in_the_representation() -> None:
    shown = repr(Credentials("s3cret-token", "s3cret-app")) + repr(PageIdentity("1", "P", "s3cret-page"))
    assert "s3cret" not in shown


def test_text_is_scrubbed_of_everything_that_looks_like_a_secret() -> None:
    credentials = Credentials("s3cret-token", "s3cret-app")
    proof = credentials.parameters["appsecret_proof"]
    text = f"s3cret-token s3cret-app {proof} Bearer xyz123 access_token=other&x=1 EAABwzLixnjYBA"
    assert credentials.scrub(text) == "*** *** *** Bearer *** access_token=***&x=1 ***"


def test_the_request_lines_of_the_http_library_are_scrubbed() -> None:
    record = logging.LogRecord("urllib3", 10, "", 0, "GET %s", ("/v26.0/1?appsecret_proof=abcdef0&limit=5",), None)
    assert SecretFilter().filter(record)
    assert record.getMessage() == "GET /v26.0/1?appsecret_proof=***&limit=5"


def test_ordinary_text_is_left_alone() -> None:
    assert scrub("nothing to hide: 42") == "nothing to hide: 42"
