"""JSON as Graph writes it: compact, everything beyond ASCII escaped, lone surrogates included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import Any

from .fields import Selection

to_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
text_to_json = encode_basestring_ascii


def pick(value: Any, selection: Selection) -> Any:
    """Return only the selected keys of a value, through lists and ``data`` envelopes; all of them if none is."""
    if not selection:
        return value
    if isinstance(value, list):
        return [pick(each, selection) for each in value]
    if isinstance(value, Mapping):
        if isinstance(value.get("data"), list):
            return {"data": pick(value["data"], selection)}
        return {each.name: pick(value[each.name], each.children) for each in selection if each.name in value}
    return value


def pick_node(value: Mapping[str, Any], selection: Selection) -> Any:
    """Return the selected keys of a node, whose id comes along unasked."""
    picked = pick(value, selection)
    return picked if "id" in picked or "id" not in value else {**picked, "id": value["id"]}
