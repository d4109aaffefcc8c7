"""Generated messages to load, and a window's files written without an extraction."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from airflow_provider_metaconv.files import Manifest, PartsWriter
from airflow_provider_metaconv.files.manifest import ManifestFile
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.schema import CONVERSATIONS, MESSAGES, Row, Table

DAY = datetime(2026, 11, 20, tzinfo=UTC)
MESSAGES_IN_A_CONVERSATION = 8
_WORDS = ("where", "is", "my", "order", "thanks", "a lot", "please", "call", "tomorrow", "the blue one", "in size nine")


def messages(count: int) -> Iterator[Row]:
    """Messages with texts of realistic length; the same ones on every call."""
    chance = random.Random(7)
    empty = dict.fromkeys(MESSAGES.column_names)
    for number in range(count):
        yield empty | {
            "platform": "MESSENGER",
            "page_id": "100",
            "conversation_id": f"t_{number // MESSAGES_IN_A_CONVERSATION}",
            "message_id": f"m_{number}_{chance.getrandbits(128):032x}",
            "created_time": (DAY - timedelta(seconds=number * 31)).isoformat(),
            "direction": chance.choice(("inbound", "outbound")),
            "sender_id": str(chance.getrandbits(53)),
            "recipients": [{"id": "100", "name": "Example Page"}],
            "text": " ".join(chance.choices(_WORDS, k=chance.randint(1, 30))),
            "content_status": "available",
            "extracted_time": DAY.isoformat(),
        }


def conversations(count: int, read: datetime = DAY) -> Iterator[Row]:
    """The ledger rows of so many conversations, as of ``read``."""
    empty = dict.fromkeys(CONVERSATIONS.column_names)
    for number in range(count):
        yield empty | {
            "platform": "MESSENGER",
            "page_id": "100",
            "conversation_id": f"t_{number}",
            "updated_time": (DAY - timedelta(seconds=number * 31)).isoformat(),
            "messages_extracted": MESSAGES_IN_A_CONVERSATION,
            "messages_unavailable": 0,
            "window_until": read.isoformat(),
            "status": "complete",
            "extracted_time": read.isoformat(),
        }


def write_window(
    place: Storage,
    file_format: str,
    message_rows: Iterable[Row],
    conversation_rows: Iterable[Row] = (),
    ledger: Iterable[tuple[Table, Iterable[Row]]] = (),
) -> Manifest:
    """Writes the parts and the manifest of a finished run."""
    files: list[ManifestFile] = []
    with place.lock():
        for table, rows in ((MESSAGES, message_rows), (CONVERSATIONS, conversation_rows), *ledger):
            with PartsWriter(place, table, file_format) as writer:
                writer.write(rows)
            files += writer.published
        manifest = Manifest("100", "MESSENGER", None, DAY.isoformat(), tuple(files))
        place.publish_bytes(manifest.to_bytes(), "_manifest.json")
    return manifest
