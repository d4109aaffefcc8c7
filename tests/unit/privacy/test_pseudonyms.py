"""Pseudonyms depend on the key and the identifier alone, and reveal neither."""

from __future__ import annotations

import pytest

from airflow_provider_metaconv.privacy.policy import PolicyError
from airflow_provider_metaconv.privacy.pseudonyms import LENGTH, SHORTEST_KEY, Pseudonyms

KEY, OTHER_KEY = "k" * SHORTEST_KEY, "o" * SHORTEST_KEY


def test_the_same_identifier_has_the_same_pseudonym_in_every_run_and_release() -> None:
    assert Pseudonyms(KEY).of("24681357") == Pseudonyms(KEY).of("24681357") == "0883d98b4fe6703bb42c59202c9571ae"


def test_another_key_or_identifier_gives_another_pseudonym() -> None:
    found = {Pseudonyms(key).of(name) for key in (KEY, OTHER_KEY) for name in ("1", "2", "\ud83d", "é")}
    assert len(found) == 8
    assert {len(each) for each in found} == {LENGTH}


def test_the_key_id_tells_keys_apart_and_shows_no_part_of_them() -> None:
    assert Pseudonyms(KEY).key_id == Pseudonyms(KEY).key_id
    assert Pseudonyms(KEY).key_id != Pseudonyms(OTHER_KEY).key_id
    assert Pseudonyms(KEY).key_id not in KEY


@pytest.mark.parametrize("key", ["", "short", "k" * (SHORTEST_KEY - 1)])
def test_a_short_key_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(PolicyError, match=f"must have at least {SHORTEST_KEY} characters: set the password") as caught:
        Pseudonyms(key)
    assert not key or key not in str(caught.value)


def test_only_the_same_key_opens_what_was_sealed() -> None:
    sealed = Pseudonyms(KEY).seal(b"24681357 Ana")
    assert Pseudonyms(KEY).unseal(sealed) == b"24681357 Ana"
    assert b"24681357" not in sealed
    for damaged in (sealed[:-4], b"", b"x" + sealed):
        with pytest.raises(ValueError, match="another key, or damaged"):
            Pseudonyms(KEY).unseal(damaged)
    with pytest.raises(ValueError, match="another key, or damaged"):
        Pseudonyms(OTHER_KEY).unseal(sealed)
