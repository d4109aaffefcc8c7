"""One extraction from an emulator into a folder, as the tests of this folder need it, and what is in its files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from airflow_provider_metaconv.emulator import EmulatorServer
from airflow_provider_metaconv.extract.ledger import Scope
from airflow_provider_metaconv.extract.run import Extraction, extract_conversations
from airflow_provider_metaconv.extract.sizes import Sizes
from airflow_provider_metaconv.extract.window import Window
from airflow_provider_metaconv.files.local import LocalStorage
from airflow_provider_metaconv.graph.auth import Credentials, page_identity
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.pacing import Pacer


def unpaced_client(server: EmulatorServer, token: str | None = None) -> GraphClient:
    """A client that waits for nothing, so that tests take no longer than they must."""
    nothing = Pacer(1e6, sleep=lambda _: None)
    credentials = Credentials(token or server.user_token)
    return GraphClient(requests.Session(), credentials, base_url=server.url, pacer=nothing, sleep=lambda _: None)


def extract(
    server: EmulatorServer,
    folder: Path,
    *,
    platform: str = "MESSENGER",
    since: datetime | None = None,
    until: datetime,
    sizes: Sizes | None = None,
    workers: int = 4,
    list_folders: Sequence[str | None] = (None,),
    user_id: str | None = None,
) -> Extraction:
    """Page 100's messages of that window, into that folder."""
    client = unpaced_client(server)
    identity = page_identity(client.get, "100", with_instagram=platform == "INSTAGRAM")
    client.use_token(identity.token)
    edges = [ConversationsEdge(client.get, "100", platform, list_folder, user_id) for list_folder in list_folders]
    scope = Scope(platform, "100", identity.own_ids, Window(since, until))
    return extract_conversations(
        edges, scope, LocalStorage(folder), client.statistics.as_dict, sizes=sizes, workers=workers
    )


@dataclass(frozen=True)
class Written:
    """What the manifest of a folder names: the manifest itself, and the rows of its files."""

    manifest: dict[str, Any]
    messages: list[dict[str, Any]]
    conversations: list[dict[str, Any]]

    @property
    def message_ids(self) -> list[str]:
        return [row["message_id"] for row in self.messages]


def written(folder: Path) -> Written:
    """Everything that counts in a folder."""
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    rows: dict[str, list[dict[str, Any]]] = {"messages": [], "conversations": []}
    for file in manifest["files"]:
        with gzip.open(folder / file["path"], "rt", encoding="utf-8") as lines:
            rows[file["table"]] += [json.loads(line) for line in lines]
    return Written(manifest, rows["messages"], rows["conversations"])
