"""A list ends only where ``next`` is absent, and only the position in ``next`` is used to continue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.graph.errors import CursorError, UnexpectedResponseError
from airflow_provider_metaconv.graph.pagination import (
    MOST_PAGES,
    POSITION_PARAMETERS,
    LoopGuard,
    ResultPage,
    pages,
    parse_page,
)

NEXT = "https://graph.example.com/v26.0/1/conversations?access_token=T&after=FROM_LINK"


def link(**query: str) -> dict[str, Any]:
    """An edge whose ``next`` link has this query."""
    return {"data": [], "paging": {"next": f"https://graph.example.com/v26.0/1/x?{urlencode(query)}"}}


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_every_page_is_read_once_including_empty_ones(sizes: list[int]) -> None:
    def fetch(position: Mapping[str, str]) -> ResultPage:
        number = int(position.get("after", "0"))
        rows = [{"id": f"{number}/{row}"} for row in range(sizes[number])]
        following = {"next": NEXT} if number + 1 < len(sizes) else {}
        return parse_page({"data": rows, "paging": {"cursors": {"after": str(number + 1)}, **following}})

    if any(not any(sizes[start : start + 25]) for start in range(len(sizes) - 25)):
        return
    expected = [f"{number}/{row}" for number, size in enumerate(sizes) for row in range(size)]
    assert [row["id"] for page in pages(fetch) for row in page.items] == expected


def test_a_cursor_without_next_ends_the_list() -> None:
    page = parse_page({"data": [{"id": "1"}], "paging": {"cursors": {"after": "x"}}})
    assert page == ResultPage([{"id": "1"}], None)


@pytest.mark.parametrize("paging", [{}, None, [], {"next": None}, {"next": ""}, {"previous": NEXT}])
def test_a_page_without_next_ends_the_list(paging: object) -> None:
    assert parse_page({"data": [], "paging": paging}) == ResultPage([], None)


def test_a_cursor_found_only_in_the_link_is_used() -> None:
    assert parse_page({"data": [], "paging": {"next": NEXT}}).next_parameters == {"after": "FROM_LINK"}


def test_the_cursors_field_takes_precedence_over_the_link() -> None:
    page = parse_page({"data": [], "paging": {"cursors": {"after": "BESIDE"}, "next": NEXT}})
    assert page.next_parameters == {"after": "BESIDE"}


@pytest.mark.parametrize(
    "position",
    [
        {"until": "1700000000", "__paging_token": "enc_B"},
        {"since": "1700000000", "__paging_token": "enc_B"},
        {"offset": "25"},
        {"offset": "25", "__after_id": "enc_C"},
    ],
)
def test_without_cursors_the_position_comes_from_the_link(position: dict[str, str]) -> None:
    query = {**position, "access_token": "SECRET", "fields": "id", "limit": "1", "platform": "x", "pretty": "0"}
    assert parse_page(link(**query)).next_parameters == position


@given(st.dictionaries(st.text(min_size=1, max_size=8) | st.sampled_from(POSITION_PARAMETERS), st.text(max_size=8)))
def test_only_position_parameters_of_a_link_are_kept(query: dict[str, str]) -> None:
    try:
        kept = parse_page(link(**query)).next_parameters
    except CursorError:
        return
    assert kept is not None
    assert set(kept) <= set(POSITION_PARAMETERS)
    assert all(value.isprintable() for value in kept.values())


@pytest.mark.parametrize("following", ["https://graph.example.com/", "https://[", True, {"a": 1}, "?access_token=T"])
def test_a_next_link_without_a_position_is_an_error(following: object) -> None:
    with pytest.raises(CursorError):
        parse_page({"data": [], "paging": {"next": following}})


@pytest.mark.parametrize("cursor", ["a\x00b", "a\ud800b", "a\nb"])
def test_an_unprintable_cursor_is_an_error(cursor: str) -> None:
    with pytest.raises(CursorError):
        parse_page({"data": [], "paging": {"cursors": {"after": cursor}, "next": NEXT}})


@pytest.mark.parametrize(
    "edge", [None, {}, {"data": None}, {"data": {"id": "1"}}, {"data": ["1"]}, {"data": [None]}, [], "data"]
)
def test_a_response_without_a_list_is_not_an_empty_list(edge: object) -> None:
    with pytest.raises(UnexpectedResponseError):
        parse_page(edge)


def test_paging_that_is_not_an_object_is_unexpected() -> None:
    with pytest.raises(UnexpectedResponseError):
        parse_page({"data": [], "paging": "odd"})


def test_lenient_rows_keep_a_placeholder_for_invalid_rows() -> None:
    page = parse_page({"data": [{"id": "1"}, None, "x", 7]}, lenient_rows=True)
    assert page.items == [{"id": "1"}, {}, {}, {}]


def test_a_repeated_position_is_a_loop() -> None:
    guard = LoopGuard()
    guard.check({"until": "1", "__paging_token": "a"})
    guard.check({"until": "1", "__paging_token": "b"})
    guard.check(None)
    with pytest.raises(CursorError):
        guard.check({"__paging_token": "a", "until": "1"})


def test_a_short_list_that_loops_is_an_error() -> None:
    with pytest.raises(CursorError):
        list(pages(lambda _: ResultPage([{"id": "1"}], {"after": "same"})))


def test_an_empty_page_that_names_itself_ends_a_short_list() -> None:
    def fetch(position: Mapping[str, str]) -> ResultPage:
        return ResultPage([] if position else [{"id": "1"}], {"after": "same"})

    assert [page.items for page in pages(fetch)] == [[{"id": "1"}], []]


@pytest.mark.parametrize(("rows", "expected"), [(1, MOST_PAGES), (0, 25)])
def test_an_endless_short_list_is_an_error(rows: int, expected: int) -> None:
    requested: list[Mapping[str, str]] = []

    def fetch(position: Mapping[str, str]) -> ResultPage:
        requested.append(position)
        return ResultPage([{"id": "1"}] * rows, {"after": str(len(requested))})

    with pytest.raises(CursorError):
        list(pages(fetch))
    assert len(requested) == expected
