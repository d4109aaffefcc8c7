from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator.errors import GraphError
from airflow_provider_metaconv.emulator.requests import Field, parse_fields


def test_a_field_list_is_parsed_with_arguments_and_sub_fields() -> None:
    expected = (
        Field("id"),
        Field("messages", (("limit", "5"), ("after", "QVFI")), (Field("id"), Field("from", (), (Field("name"),)))),
        Field("participants", (), (Field("id"),)),
    )
    assert parse_fields("id, messages.limit(5).after(QVFI){id, from{name}} ,participants{ id }") == expected
    assert parse_fields("messages{ id, from{name} }")[0].children_text == "id, from{name}"


@pytest.mark.parametrize(
    "text", ["id,,x", "", ",", "id}", "messages{id", "messages{}", "messages.limit{id}", "messages.limit(5", "a b", "1"]
)
def test_a_malformed_field_list_is_error_2500(text: str) -> None:
    with pytest.raises(GraphError, match="Syntax error") as raised:
        parse_fields(text)
    assert (raised.value.status, raised.value.label) == (400, "2500")


names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
trees = st.recursive(
    names, lambda children: st.tuples(names, st.lists(children, min_size=1, max_size=4)), max_leaves=12
)


def rendered(tree: Any) -> str:
    if isinstance(tree, str):
        return tree
    name, children = tree
    return f"{name}.limit(3){{{','.join(map(rendered, children))}}}"


@given(st.lists(trees, min_size=1, max_size=4))
def test_any_well_formed_field_list_is_parsed(forest: list[Any]) -> None:
    parsed = parse_fields(",".join(map(rendered, forest)))
    assert {each if isinstance(each, str) else each[0] for each in forest} == {each.name for each in parsed}
