"""The demo's source: the emulator, or real Pages if an access token is set."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests

from airflow_provider_metaconv.demo.workspace import process

PAGES = 4
SECONDS_TO_START = 60

# The demo's rate limits. Meta's own limits would make it last for hours; the codes and waits are real.
FAULTS: list[dict[str, Any]] = [
    {"code": 80006, "page_id": "100", "route": "conversations", "after_calls": 3, "times": 1, "regain_minutes": 1,
     "block_seconds": 60},
    {"code": 613, "page_id": "101", "after_calls": 5, "times": 1, "block_seconds": 5, "regain_minutes": 0},
    {"name": "too_much_data", "page_id": "102", "more_than": 3000},
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class RealPages:
    """The Pages of the token in ``META_ACCESS_TOKEN``, with Meta's own rate limits."""

    token: str = field(repr=False)
    app_secret: str | None = field(repr=False)
    pages: list[str]
    since: str | None
    api_version: str | None
    host: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> RealPages | None:
        """Read the Pages from the environment; None without a token."""
        token = environment.get("META_ACCESS_TOKEN", "").strip()
        if not token:
            return None
        return cls(
            token=token,
            app_secret=environment.get("META_APP_SECRET") or None,
            pages=environment.get("META_PAGE_IDS", "").replace(",", " ").split(),
            since=environment.get("META_SINCE") or None,
            api_version=environment.get("META_API_VERSION") or None,
            host=environment.get("META_HOST") or None,
        )

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection."""
        extra = {"app_secret": self.app_secret, "api_version": self.api_version}
        given = {k: v for k, v in extra.items() if v}
        return {"conn_type": "meta_graph", "host": self.host, "password": self.token, "extra": given}


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator, accessed over HTTP only."""

    url: str
    token: str = field(repr=False)

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection, with a user token from which each Page's token is fetched."""
        return {
            "conn_type": "meta_graph",
            "host": self.url,
            "password": self.token,
            "extra": {"api_version": "v26.0", "calls_per_second": 40},
        }

    def statistics(self) -> dict[str, Any]:
        """Return the calls so far, and the current blocks."""
        counts: dict[str, Any] = self._get("statistics")
        return counts

    def ground_truth(self, since: datetime | None, until: datetime) -> dict[tuple[str, str], dict[str, int]]:
        """Return the ground truth of a window, by Page and platform."""
        window = {"folder": "all", "until": until.isoformat()} | ({"since": since.isoformat()} if since else {})
        return {(row["page_id"], row["platform"]): row for row in self._get("ground_truth?" + urlencode(window))}

    def let_messages_arrive(self, messages: int, since: datetime) -> None:
        """Let new messages arrive from that time on, in old and new conversations, about two per second."""
        body = {"messages": messages, "seed": 7, "created_time": since.isoformat()}
        requests.post(f"{self.url}/_emulator/arrivals", json=body, timeout=30).raise_for_status()

    def _get(self, path: str) -> Any:
        answer = requests.get(f"{self.url}/_emulator/{path}", timeout=30)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def running_emulator(folder: Path, *, messages: int, now: datetime) -> Iterator[Emulator]:
    """Run an emulator with the demo's Pages and rate limits on a free loopback port for the duration of the block."""
    ready = folder / "emulator.json"
    ready.unlink(missing_ok=True)
    command = ["airflow_provider_metaconv.emulator", "--port", "0", "--pages", str(PAGES)]
    command += ["--messages", str(messages), "--now", now.isoformat(), "--ready-file", str(ready)]
    command += ["--faults", json.dumps(FAULTS)]
    with (folder / "emulator.log").open("wb") as log, process(command, os.environ, log) as child:
        deadline = time.monotonic() + SECONDS_TO_START
        while not ready.exists():
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The emulator did not start: see {log.name}.")
            time.sleep(0.05)
        connection_facts = json.loads(ready.read_text())
        # The file contains a token that nobody else should read.
        ready.unlink()
        yield Emulator(connection_facts["url"], connection_facts["user_token"])
