"""A privacy policy that hashes every ID, and the way back, which only the simulation has."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_metaconv.privacy.policy import PrivacyPolicy
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms
from airflow_provider_metaconv.privacy.rows import RowPrivacy

# Text stays, so that the oracle can compare it. Unit tests show what happens to it.
POLICY = PrivacyPolicy.parse(
    {
        **dict.fromkeys(("conversation_id", "message_id", "reply_to", "sender_id", "recipients"), "hash"),
        **dict.fromkeys(("participants", "reactions"), "hash"),
        "sender_name": "drop",
    }
)
_HASHED = ("conversation_id", "message_id", "sender_id")
_ID = re.compile(rb"\bm?_?t_\d+|\b(?:Person|Friend) \d+|\bperson\.\d+|\b8000\d\d\b")
"""IDs and names of people, conversations and messages in the simulation's world."""


class RecordedPseudonyms(Pseudonyms):
    """Pseudonyms that remember what each of them stands for."""

    def __init__(self) -> None:
        super().__init__("k" * 32)
        self.originals: dict[str, str] = {}

    def of_one(self, identifier: str) -> str:
        pseudonym = super().of_one(identifier)
        self.originals[pseudonym] = identifier
        return pseudonym

    def seal(self, data: bytes) -> bytes:
        # The same bytes in each run of a seed, unlike the real seal, which unit tests cover.
        return bytes(byte ^ 0x5A for byte in zlib.adler32(data).to_bytes(4) + data).hex().encode()

    def unseal(self, sealed: bytes) -> bytes:
        opened = bytes(byte ^ 0x5A for byte in bytes.fromhex(sealed.decode()))
        if zlib.adler32(opened[4:]).to_bytes(4) != opened[:4]:
            raise ValueError("damaged")
        return opened[4:]

    def row_privacy(self) -> RowPrivacy:
        """A new attempt's view of the policy."""
        return RowPrivacy(POLICY, self)

    def original(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with Meta's IDs; a value that is no known pseudonym stays, and is a finding."""
        changed = {name: self.originals.get(row[name], row[name]) for name in _HASHED if row.get(name)}
        for name in ("recipients", "participants"):
            if row.get(name) is not None:
                changed[name] = [self._person(each) for each in row[name]]
        return row | changed

    def _person(self, person: Mapping[str, Any]) -> dict[str, Any]:
        identifier = person.get("id")
        return {"id": self.originals.get(str(identifier), identifier), "name": person.get("name")}


def shown_ids(files: Mapping[str, bytes], texts: Iterable[str]) -> list[str]:
    """The IDs and names that files, their names or these texts contain."""
    found: set[bytes] = set()
    for name, data in files.items():
        # The texts of messages name their message, and a policy that keeps text keeps them.
        content = re.sub(rb"private-text m_t_\w+", b"", decompressed(data))
        found.update(_ID.findall(content), _ID.findall(name.encode()))
    found.update(*(_ID.findall(text.encode()) for text in texts))
    return sorted(each.decode() for each in found)


def decompressed(data: bytes) -> bytes:
    """The content of a file, whether it is compressed or not."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return data
