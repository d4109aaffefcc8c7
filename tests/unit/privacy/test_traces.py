"""People are removed from nested values, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_metaconv.privacy.traces import without_people

ANN, BOB, PAGE = ({"id": "1", "name": "Ann"}, {"id": "2"}, {"id": "100", "name": "Café"})
UNKNOWN = {"name": "(more, whom Meta does not return)"}


def love(*users: Any) -> dict[str, Any]:
    return {"reaction": "love", "users": list(users)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([ANN, PAGE], [PAGE]),
        ([ANN], None),
        ([PAGE, ANN, BOB, UNKNOWN], [PAGE, BOB, UNKNOWN]),
        ([{"id": 1}, BOB], [BOB]),
        ([love(ANN), love(BOB, ANN), {"reaction": "wow"}], [love(BOB), {"reaction": "wow"}]),
        ([love(ANN)], None),
        (
            [{"reaction": "sad", "users": {"data": [ANN, BOB], "paging": {}}}],
            [{"reaction": "sad", "users": {"data": [BOB], "paging": {}}}],
        ),
        ([{"reaction": "sad", "users": {"data": [ANN]}}], None),
    ],
)
def test_people_are_removed(value: Any, expected: Any) -> None:
    before = repr(value)
    assert without_people(value, {"1"}) == expected
    assert repr(value) == before


@pytest.mark.parametrize(
    "value", [None, "1", 1, {"id": "2"}, [PAGE, BOB], ["1", 1, None], [love(), love(BOB)], [{"id": True}, {"id": None}]]
)
def test_anything_else_stays(value: Any) -> None:
    assert without_people(value, {"1", "True", "None"}) == value


def test_an_identifier_is_compared_whole() -> None:
    assert without_people([{"id": "11"}, {"id": "1'\"--"}], {"1", "1'\"--"}) == [{"id": "11"}]


@pytest.mark.parametrize("value", [{"a": "1"}, {"a": 1}, {"a": {"1": 2}}, {"a": ["x/1/y"]}, {"a": "é1"}])
def test_extra_fields_that_name_somebody_are_removed(value: Any) -> None:
    assert without_people(value, {"1"}) is None
    assert without_people(value, {"11"}) is value
