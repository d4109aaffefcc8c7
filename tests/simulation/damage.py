"""Damage to the files from which a later attempt continues, as disks, people and other programs cause it."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from tests.simulation.scenario import DamagePlan

CHECKPOINT, MANIFEST = "_checkpoint.json", "_manifest.json"
FILES = ("checkpoint", "segment", "part")
DAMAGES = (
    *(f"{file} damaged: {kind}" for file in FILES for kind in ("truncate", "flip", "delete")),
    "checkpoint damaged: value",
)
"""All kinds of damage, as named in the coverage."""


def damage(files: dict[str, bytes], plan: DamagePlan) -> str | None:
    """Damages a file of a folder. Returns what was done, None if there is no file of that kind."""
    names = _names(files, plan)
    if not names:
        return None
    name = names[plan.place % len(names)]
    data = files[name]
    place = min(len(data) - 1, len(data) * plan.place // 1_000)
    match plan.kind:
        case "delete":
            del files[name]
        case "truncate":
            files[name] = data[:place]
        case "flip":
            files[name] = data[:place] + bytes((data[place] ^ 0x20,)) + data[place + 1 :]
        case "value":
            files[name] = _with_another_value(data, plan.place)
    return f"{plan.file} damaged: {plan.kind}"


def _names(files: dict[str, bytes], plan: DamagePlan) -> list[str]:
    if plan.file == "checkpoint":
        return [CHECKPOINT] if CHECKPOINT in files else []
    if plan.file == "segment":
        return sorted(name for name in files if name.startswith("_checkpoint-") and files[name])
    published = orjson.loads(files[MANIFEST])["files"] if MANIFEST in files else ()
    kept = {CHECKPOINT, MANIFEST, *(file["path"] for file in published)}
    return sorted(name for name in files if name not in kept and not name.startswith("_") and files[name])


def _with_another_value(data: bytes, place: int) -> bytes:
    """A checkpoint with one invalid value and a matching checksum."""
    content = orjson.loads(data)["content"]
    if isinstance(content, str):  # sealed: no value of it can be replaced, so one character is
        content = {"content": f"{content[:place]}x{content[place + 1 :]}"}
    values = list(_values(content))
    holder, key = values[place % len(values)]
    holder[key] = [{"odd": [holder[key]]}]
    text = orjson.dumps(content)
    return b'{"sha256":"%s","content":%s}' % (hashlib.sha256(text).hexdigest().encode(), text)


def _values(value: Any) -> Any:
    """Every position in a JSON value, except what Meta says about people, which may be anything."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("participants", "errors"):
                yield value, name
                yield from _values(inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield value, number
            yield from _values(inner)
