"""What every contestant's program shares: its task, the stopwatch, and its own memory. Standard library only."""

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
    """Where the server is, which shape it serves, where to write, and the contestant's own options."""

    def __init__(self, base_url: str, folder: str, shape: str, options: str) -> None:
        self.base_url = base_url
        self.folder = Path(folder)
        self.shape = Shape.from_json(shape)
        self.options: dict[str, Any] = json.loads(options)

    @property
    def nested_fields(self) -> str:
        """Conversations with their newest messages, in one ``fields=``."""
        return f"{CONVERSATION_FIELDS},messages.limit({self.shape.nested}){{{MESSAGE_FIELDS}}}"


def run(work: Callable[[Job], None], found_ids: Callable[[Job], Iterable[str]]) -> None:
    """Does the work of this process's arguments, prints its figures as JSON, and leaves the ids it holds in a file.

    Imports are done by now and are no part of the seconds; the ids are read back from what was written, afterwards.
    """
    job = Job(*sys.argv[1:])
    base = peak_megabytes()
    started, processor = time.perf_counter(), time.process_time()
    work(job)
    figures = {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - processor}
    figures |= {"base_mb": base, "peak_mb": peak_megabytes()}
    (job.folder / "ids.txt").write_text("\n".join(found_ids(job)))
    print(json.dumps(figures), flush=True)
    # Some peers leave threads behind; they are no part of the figures.
    os._exit(0)


def json_lines_ids(job: Job) -> Iterable[str]:
    """The ids in ``messages.jsonl``, where each line is a message."""
    with (job.folder / "messages.jsonl").open() as lines:
        for line in lines:
            yield json.loads(line)["id"]
