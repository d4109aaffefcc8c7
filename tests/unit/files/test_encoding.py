"""Every JSON reader can read the encoded output, whatever Meta sent."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from airflow_provider_metaconv.files.encoding import encode_json


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**70, 2**70),
        (10**308, 10**308),
        (10**309, "1" + "0" * 309),
        (-(10**400), "-1" + "0" * 400),
        (float("inf"), None),
        (float("nan"), None),
        ("a\0b\ud83d", "a\ufffdb\ufffd"),
    ],
)
def test_unreadable_values_are_replaced(value: Any, expected: Any) -> None:
    encoded = encode_json({"value": [value]})
    assert json.loads(encoded) == {"value": [expected]}
    orjson.loads(encoded)
