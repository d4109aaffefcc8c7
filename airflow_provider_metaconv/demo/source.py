"""What the demo reads from: the emulator, or real Pages when an access token is given."""

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

# The rate limits of the trial. Meta's own numbers would make it last for hours, their codes and waits are real.
FAULTS: list[dict[str, Any]] = [
    {"code": 80006, "page_id": "100", "route": "conversations", "after_calls": 3, "times": 1, "regain_minutes": 1,
     "block_seconds": 60},
    {"code": 613, "page_id": "101", "after_calls": 5, "times": 1, "block_seconds": 5, "regain_minutes": 0},
    {"name": "too_much_data", "page_id": "102", "more_than": 3000},
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class RealPages:
    """Pages of the token in ``META_ACCESS_TOKEN``, under Meta's own rate limits."""

    token: str = field(repr=False)
    app_secret: str | None = field(repr=False)
    pages: list[str]
    since: str | None
    api_version: str | None
    host: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> RealPages | None:
        """The Pages that the environment names; None when it holds no token."""
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
        """The Airflow connection to them."""
        extra = {"app_secret": self.app_secret, "api_version": self.api_version}
        given = {k: v for k, v in extra.items() if v}
        return {"conn_type": "meta_graph", "host": self.host, "password": self.token, "extra": given}


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator, asked over HTTP alone."""

    url: str
    token: str = field(repr=False)

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection to it: a user token, from which each Page's own is fetched."""
        return {
            "conn_type": "meta_graph",
            "host": self.url,
            "password": self.token,
            "extra": {"api_version": "v26.0", "calls_per_second": 40},
        }

    def statistics(self) -> dict[str, Any]:
        """What clients called so far, and who is blocked."""
        counts: dict[str, Any] = self._get("statistics")
        return counts

    def ground_truth(self, since: datetime | None, until: datetime) -> dict[tuple[str, str], dict[str, int]]:
        """What there is in a window, by Page and platform."""
        window = {"folder": "all", "until": until.isoformat()} | ({"since": since.isoformat()} if since else {})
        return {(row["page_id"], row["platform"]): row for row in self._get("ground_truth?" + urlencode(window))}

    def let_messages_arrive(self, messages: int, since: datetime) -> None:
        """New messages from that moment on, in old and new conversations, about two a second."""
        body = {"messages": messages, "seed": 7, "created_time": since.isoformat()}
        requests.post(f"{self.url}/_emulator/arrivals", json=body, timeout=30).raise_for_status()

    def _get(self, path: str) -> Any:
        answer = requests.get(f"{self.url}/_emulator/{path}", timeout=30)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def running_emulator(folder: Path, *, messages: int, now: datetime) -> Iterator[Emulator]:
    """An emulator on a free loopback port with the trial's Pages and rate limits; stopped at the end of the block."""
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
        told = json.loads(ready.read_text())
        # It holds the token, and nobody else is to read it.
        ready.unlink()
        yield Emulator(told["url"], told["user_token"])
