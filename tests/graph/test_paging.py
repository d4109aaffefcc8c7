"""A list ends where ``next`` is absent, nowhere else, and never turns in a circle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.graph.errors import CursorError, TransientError
from airflow_provider_metaconv.graph.pagination import Page, page_of, pages

NEXT = "https://graph.example.com/v26.0/1/conversations?access_token=T&after=FROM_LINK"


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_every_page_is_read_once_even_the_empty_ones(sizes: list[int]) -> None:
    def fetch(parameters: dict[str, str]) -> dict[str, object]:
        number = int(parameters.get("after", "0"))
        rows = [{"id": f"{number}/{row}"} for row in range(sizes[number])]
        following = {"next": NEXT} if number + 1 < len(sizes) else {}
        return {"data": rows, "paging": {"cursors": {"after": str(number + 1)}, **following}}

    expected = [f"{number}/{row}" for number, size in enumerate(sizes) for row in range(size)]
    assert expected == [row["id"] for page in pages(fetch) for row in page.items]


def test_a_cursor_without_next_is_the_end() -> None:
    assert Page([{"id": "1"}], None) == page_of({"data": [{"id": "1"}], "paging": {"cursors": {"after": "x"}}})


def test_a_list_without_paging_is_over() -> None:
    assert (Page([], None), Page([], None)) == (page_of({"data": []}), page_of(None))


def test_the_cursor_is_taken_from_the_link_when_it_is_only_there() -> None:
    assert page_of({"data": [], "paging": {"next": NEXT}}).after == "FROM_LINK"


def test_a_next_without_any_cursor_is_an_error() -> None:
    with pytest.raises(CursorError):
        page_of({"data": [], "paging": {"next": "https://graph.example.com/"}})


@pytest.mark.parametrize("edge", [{}, {"data": None}, {"data": {"id": "1"}}, {"data": ["1"]}, [], "data"])
def test_an_answer_without_a_list_is_never_taken_for_an_empty_one(edge: object) -> None:
    with pytest.raises(TransientError):
        page_of(edge)


def test_a_repeated_cursor_ends_in_an_error() -> None:
    with pytest.raises(CursorError):
        list(pages(lambda _: {"data": [], "paging": {"cursors": {"after": "same"}, "next": NEXT}}))
