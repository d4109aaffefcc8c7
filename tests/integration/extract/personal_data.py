"""What a world says about people, and a search for it in every byte of a folder."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from airflow_provider_metaconv.emulator import World

SHORTEST = 6
"""Shorter strings, such as the text "ok", are in any file by chance."""


def personal_data(world: World) -> dict[str, set[str]]:
    """Everything of the world that a policy may hide, by kind."""
    found: dict[str, set[str]] = {
        kind: set() for kind in ("person", "name", "conversation", "message", "text", "link", "object")
    }
    for thread in world.threads.values():
        found["conversation"].add(thread.id)
        people = (thread.customer, *thread.others, thread.page.person(thread.platform))
        for person in people:
            found["person"].add(person["id"])
            found["name"].update(person[key] for key in ("name", "username", "email") if key in person)
        for message in thread.messages:
            found["message"].add(message.id)
            found["text"].update([message.text, *message.text.splitlines()])
            found["link"].update(_links(message.content))
            found["object"].update(_objects(message.content))
    # The Page's own ID is in every path.
    found["person"] -= set(world.pages)
    return {kind: {each for each in values if len(each.strip()) >= SHORTEST} for kind, values in found.items()}


def _links(value: Any) -> Iterator[str]:
    if isinstance(value, str) and "://" in value:
        yield value
    elif isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _links(inner)


def _objects(content: Mapping[str, Any]) -> Iterator[str]:
    for attachment in content.get("attachments") or ():
        if isinstance(attachment, Mapping) and isinstance(attachment.get("id"), str):
            yield attachment["id"]


def leaks(folder: Path, hidden: Mapping[str, set[str]], kinds: Sequence[str]) -> list[tuple[str, str, str]]:
    """The kind, the value and the file of everything in a folder that must not be there, names of files included."""
    wanted = {each: kind for kind in kinds for each in hidden[kind]}
    pattern = re.compile("|".join(re.escape(each) for each in sorted(wanted, key=len, reverse=True)))
    found = []
    for path in sorted(folder.rglob("*")):
        text = f"{path.relative_to(folder)}\n{_text(path)}" if path.is_file() else str(path.relative_to(folder))
        found += [(wanted[match], match, path.name) for match in _matches(pattern, text)]
    return found


@cache
def _matches(pattern: re.Pattern[str], text: str) -> frozenset[str]:
    # Most files stay as they are from one attempt to the next.
    return frozenset(pattern.findall(text))


def _text(path: Path) -> str:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.name.endswith(".gz") else data).decode("utf-8", "replace")
    # JSON escapes what it must, and a searched text is not escaped.
    return text.replace('\\"', '"').replace("\\\\", "\\") if "\\" in text else text
