"""Shared by all competitors' programs: the job, the timing and the memory. Standard library only."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks.peers.shapes import Shape
from tests.benchmarks.peers.world import PAGE_ID, SINCE, TOKEN, UNTIL
from tests.integration.peak_memory import peak_megabytes

__all__ = [
    "CONVERSATION_FIELDS",
    "MESSAGE_FIELDS",
    "PAGE_ID",
    "SINCE",
    "TOKEN",
    "UNTIL",
    "Job",
    "json_lines_ids",
    "run",
]

MESSAGE_FIELDS = "id,created_time,from,to,message,attachments,tags"
CONVERSATION_FIELDS = "id,updated_time,message_count,participants"


class Job:
    """The server's URL, its shape, the output folder, and the competitor's options."""

    def __init__(self, base_url: str, folder: str, shape: str, options: str) -> None:
        self.base_url = base_url
        self.folder = Path(folder)
        self.shape = Shape.from_json(shape)
        self.options: dict[str, Any] = json.loads(options)

    @property
    def nested_fields(self) -> str:
        """The ``fields=`` of conversations with their newest messages."""
        return f"{CONVERSATION_FIELDS},messages.limit({self.shape.nested}){{{MESSAGE_FIELDS}}}"


def run(work: Callable[[Job], None], found_ids: Callable[[Job], Iterable[str]]) -> None:
    """Runs the job in this process's arguments, prints its figures as JSON, and writes the extracted ids to a file.

    The time excludes the imports. The ids are read back from the output afterwards.
    """
    job = Job(*sys.argv[1:])
    base = peak_megabytes()
    started, processor = time.perf_counter(), time.process_time()
    work(job)
    figures = {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - processor}
    figures |= {"base_mb": base, "peak_mb": peak_megabytes()}
    (job.folder / "ids.txt").write_text("\n".join(found_ids(job)))
    print(json.dumps(figures), flush=True)
    # Some libraries leave threads running; they are not part of the figures.
    os._exit(0)


def json_lines_ids(job: Job) -> Iterable[str]:
    """The ids in ``messages.jsonl``, which has one message per line."""
    with (job.folder / "messages.jsonl").open() as lines:
        for line in lines:
            yield json.loads(line)["id"]
