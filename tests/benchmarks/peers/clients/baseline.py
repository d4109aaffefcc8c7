"""The baseline: a bare requests loop that writes JSON lines. No client that reads nested messages can do much less.

It keeps no state, never retries and trusts every response. With ``threads`` above 1, follow-up calls for messages run
in that many threads while the list continues.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TextIO

import requests
from requests.adapters import HTTPAdapter

from tests.benchmarks.peers.clients.measuring import MESSAGE_FIELDS, PAGE_ID, TOKEN, Job, json_lines_ids, run


def extract(job: Job) -> None:
    """Writes all messages of the Page as JSON lines."""
    threads = job.options["threads"]
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=threads + 1))
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    with (job.folder / "messages.jsonl").open("w") as out:
        if threads == 1:
            for conversation in _conversations(session, job):
                _write(out, conversation["messages"]["data"])
                if after := _after(conversation["messages"]):
                    _write(out, _rest(session, job, conversation["id"], after))
            return
        with ThreadPoolExecutor(threads) as pool:
            waiting: list[Future[list[dict[str, Any]]]] = []
            for conversation in _conversations(session, job):
                _write(out, conversation["messages"]["data"])
                if after := _after(conversation["messages"]):
                    waiting.append(pool.submit(_rest, session, job, conversation["id"], after))
                while waiting and waiting[0].done():
                    _write(out, waiting.pop(0).result())
            for future in waiting:
                _write(out, future.result())


def _conversations(session: requests.Session, job: Job) -> Iterator[dict[str, Any]]:
    query = {"platform": "MESSENGER", "fields": job.nested_fields, "limit": str(job.shape.page_size)}
    while True:
        page = _get(session, job, f"{PAGE_ID}/conversations", query)
        yield from page["data"]
        if not (after := _after(page)):
            return
        query["after"] = after


def _rest(session: requests.Session, job: Job, conversation: str, after: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while after:
        query = {"fields": MESSAGE_FIELDS, "limit": str(job.shape.follow_up), "after": after}
        page = _get(session, job, f"{conversation}/messages", query)
        rows += page["data"]
        after = _after(page)
    return rows


def _get(session: requests.Session, job: Job, path: str, query: dict[str, str]) -> dict[str, Any]:
    answer = session.get(f"{job.base_url}/v26.0/{path}", params=query, timeout=60)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _after(edge: dict[str, Any]) -> str:
    paging = edge.get("paging", {})
    return paging["cursors"]["after"] if "next" in paging else ""


def _write(out: TextIO, messages: list[dict[str, Any]]) -> None:
    out.writelines(json.dumps(message) + "\n" for message in messages)


if __name__ == "__main__":
    run(extract, json_lines_ids)
