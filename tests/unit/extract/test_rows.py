"""How values of Graph nodes are converted for rows."""

from __future__ import annotations

import pytest

from airflow_provider_metaconv.extract.rows import extra, flag, identifier


@pytest.mark.parametrize(("value", "expected"), [("m_1", "m_1"), (17, "17"), ("0", "0")])
def test_a_message_id_is_a_string_or_number(value, expected):
    assert identifier(value) == expected


@pytest.mark.parametrize("value", [None, "", True, 1.5, [], [{"id": "7005"}], {"id": "m_1"}])
def test_an_invalid_message_id_is_none(value):
    assert identifier(value) is None


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), (False, False), (None, None), ("true", None), (1, None), ([], None)]
)
def test_a_flag_is_true_or_false_or_unknown(value, expected):
    assert flag(value) is expected


def test_extra_fields_have_no_paging_which_has_the_token():
    edge = {"data": [{"id": "7", "paging": {"next": "https://x/?access_token=T"}}], "paging": {"next": "…T"}}
    node = {"id": "t_1", "senders": edge, "name": None, "other": 1}
    assert extra(node, ["senders", "name", "is_owner"]) == {"senders": {"data": [{"id": "7"}]}}
    assert extra(node, ["name"]) is None
