"""How values of Graph nodes are converted for rows."""

from __future__ import annotations

import pytest

from airflow_provider_metaconv.extract.rows import identifier


@pytest.mark.parametrize(("value", "expected"), [("m_1", "m_1"), (17, "17"), ("0", "0")])
def test_a_message_id_is_a_string_or_number(value, expected):
    assert identifier(value) == expected


@pytest.mark.parametrize("value", [None, "", True, 1.5, [], [{"id": "7005"}], {"id": "m_1"}])
def test_an_invalid_message_id_is_none(value):
    assert identifier(value) is None
