from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator.pagination import from_cursor, from_opaque, to_cursor, to_opaque


@given(st.text())
def test_opaque_texts_are_letters_and_digits_and_come_back(text: str) -> None:
    assert text == from_opaque(to_opaque(text))
    assert to_opaque(text).isalnum() or not text


@given(st.integers(0, 2**40), st.from_regex(r"[a-zA-Z0-9_]{0,20}", fullmatch=True))
def test_cursors_come_back(position: int, tie: str) -> None:
    assert (position, tie) == from_cursor(to_cursor(position, tie))


def test_the_opaque_alphabet_is_the_one_seen_in_public() -> None:
    assert "MAZDZD" == to_opaque("0")
    assert "aWdfZAG06MTpJR01lc3NhZA2VUaHJlYWQ6" == to_opaque("ig_dm:1:IGMessageThread:")
