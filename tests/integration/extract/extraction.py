"""One extraction from an emulator into a folder, as these tests need it, and the content of its files."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import requests

from airflow_provider_metaconv.emulator import EmulatorServer
from airflow_provider_metaconv.erase.erase import read_suppressed
from airflow_provider_metaconv.extract.extra_fields import ExtraFields
from airflow_provider_metaconv.extract.extraction import (
    WORKERS,
    ExtractionResult,
    Settings,
    extract_conversations,
    known_conversations,
)
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.extract.stats import Observer, noop
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.auth import Credentials, page_identity
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.graph.session import graph_session
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from airflow_provider_metaconv.privacy.suppression import SuppressionList
from airflow_provider_metaconv.schema import TABLES
from airflow_provider_metaconv.window import Window

EXTRACTED = "2026-11-22T00:00:00+00:00"
"""The same in all extractions, so that rows can be compared."""


class SkippedTime:
    """A clock on which every wait ends immediately."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.skipped

    def skip(self, seconds: float) -> None:
        self.skipped += seconds


def unpaced_client(
    server: EmulatorServer,
    token: str | None = None,
    clock: SkippedTime | None = None,
    session: requests.Session | None = None,
) -> GraphClient:
    """A client that waits for nothing, to keep tests fast."""
    clock = clock or SkippedTime()
    return GraphClient(
        session or graph_session(),
        Credentials(token or server.user_token),
        base_url=server.url,
        pacer=Pacer(1e6, clock=clock, sleep=clock.skip),
        clock=clock,
        sleep=clock.skip,
    )


def extract(
    server: EmulatorServer,
    folder: Path | Storage,
    *,
    platform: str = "MESSENGER",
    since: datetime | None = None,
    until: datetime,
    sizes: Sizes | None = None,
    workers: int = WORKERS,
    list_folders: Sequence[str | None] = (None,),
    user_id: str | None = None,
    file_format: str = "ndjson",
    rows_per_part: int = 100_000,
    observe: Observer = noop,
    accept_partial: bool = False,
    lookback: timedelta = timedelta(),
    clock: SkippedTime | None = None,
    session: requests.Session | None = None,
    extracted_time: str = EXTRACTED,
    privacy: RowPrivacy | None = None,
    allow_policy_change: bool = False,
    suppressed: SuppressionList | None = None,
    suppressed_in: Storage | None = None,
    extra_fields: Sequence[str] = (),
) -> ExtractionResult:
    """Extracts Page 100's messages of this window into this folder or storage."""
    clock = clock or SkippedTime()
    client = unpaced_client(server, clock=clock, session=session)
    identity = page_identity(client.get, "100", with_instagram=platform == "INSTAGRAM")
    client.use_page(identity)
    edges = [ConversationsEdge(client.get, "100", platform, list_folder, user_id) for list_folder in list_folders]
    usernames = frozenset(filter(None, [identity.instagram_username]))
    window = Window(since, until, lookback=lookback)
    extra = ExtraFields.parse(extra_fields)
    context = ExtractionContext(platform, "100", identity.own_ids, window, extracted_time, usernames, extra)
    storage = LocalStorage(folder) if isinstance(folder, Path) else folder
    privacy = privacy or RowPrivacy()
    if not privacy.policy.is_full:
        client.hide_people()
    settings = Settings(
        file_format,
        sizes,
        workers,
        rows_per_part,
        accept_partial=accept_partial,
        privacy=privacy,
        allow_policy_change=allow_policy_change,
        suppressed=suppressed or SuppressionList(),
        reload_suppressed=None if suppressed_in is None else partial(read_suppressed, suppressed_in),
        clock=clock,
        sleep=clock.skip,
    )
    known_ids = lambda: known_conversations(storage)  # noqa: E731
    return extract_conversations(edges, context, storage, client, settings, known_ids, observe)


@dataclass(frozen=True)
class Written:
    """The manifest of a folder, and the rows of the files it lists."""

    manifest: dict[str, Any]
    messages: list[dict[str, Any]]
    conversations: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    windows: list[dict[str, Any]]

    @property
    def message_ids(self) -> list[str]:
        return [row["message_id"] for row in self.messages]


def written(folder: Path) -> Written:
    """The content of a folder as its manifest lists it."""
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in TABLES}
    for file in manifest["files"]:
        with gzip.open(folder / file["path"], "rt", encoding="utf-8") as lines:
            rows[file["table"]] += [json.loads(line) for line in lines]
    return Written(
        manifest, rows["messages"], rows["conversations"], rows["conversation_gaps"], rows["extraction_windows"]
    )
