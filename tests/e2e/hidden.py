"""What a privacy policy must hide, and a search for it in anything that a run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from airflow_provider_metaconv.emulator import World
from tests.integration.extract.personal_data import personal_data

KEY = "5f0c66f1-the-key-of-the-pseudonyms-2b8e"
ALWAYS_HIDDEN = ("person", "name", "link")
HIDDEN = {"pseudonymous": ALWAYS_HIDDEN, "metadata": (*ALWAYS_HIDDEN, "conversation", "message", "text")}
"""The kinds of personal data that each policy hides in files and tables."""
NEVER_SHOWN = HIDDEN["metadata"]
"""What Airflow's own files and the names and jobs of a cloud never show, whatever the policy."""
MOST = 400
"""Of each kind, this many values are searched for."""


@dataclass
class Hidden:
    """The personal data of a world; ``erased`` are people whose ID a run was given as a param."""

    values: Mapping[str, set[str]]
    erased: set[str] = field(default_factory=set)

    @staticmethod
    def of(world: World) -> Hidden:
        return Hidden(personal_data(world))

    def shown(self, kinds: Iterable[str], contents: Iterable[tuple[str, bytes]]) -> set[tuple[str, str]]:
        """The kind and the place of everything that should be hidden and is shown."""
        wanted = [
            (kind, form.encode(errors="replace"))
            for kind in kinds
            for value in sorted(self.values[kind] - self.erased)[:MOST]
            for form in {value, json.dumps(value)[1:-1]}
        ]
        return {(kind, place) for place, content in contents for kind, form in wanted if form in content}
