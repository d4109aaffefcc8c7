from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator.pagination import from_base64, from_cursor, to_base64, to_cursor


@given(st.text())
def test_base64_is_alphanumeric_and_decodable(text: str) -> None:
    assert text == from_base64(to_base64(text))
    assert to_base64(text).isalnum() or not text


@given(st.integers(0, 2**40), st.from_regex(r"[a-zA-Z0-9_]{0,20}", fullmatch=True))
def test_cursors_survive_a_round_trip(position: int, tie: str) -> None:
    assert from_cursor(to_cursor(position, tie)) == (position, tie)


def test_base64_uses_metas_alphabet() -> None:
    assert to_base64("0") == "MAZDZD"
    assert to_base64("ig_dm:1:IGMessageThread:") == "aWdfZAG06MTpJR01lc3NhZA2VUaHJlYWQ6"
