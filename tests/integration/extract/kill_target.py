"""One extraction in a separate process, to be killed."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files import LocalStorage
from tests.integration.extract.extraction import extract


class KilledInCleanup(LocalStorage):
    """A folder that, once the manifest is published, allows so many removals and then kills the process."""

    def __init__(self, folder: Path, removals: int) -> None:
        super().__init__(folder)
        self.removals = removals
        self.is_published = False

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        super().publish_bytes(data, name, durable=durable)
        self.is_published = self.is_published or name == "_manifest.json"

    def delete(self, name: str) -> None:
        if self.is_published:
            if self.removals == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.removals -= 1
        super().delete(name)


def extract_page(url: str, token: str, storage: LocalStorage, until: datetime, rows_per_part: int) -> None:
    """Extracts Page 100 like the tests."""
    server = SimpleNamespace(url=url, user_token=token)
    extract(server, storage, until=until, sizes=Sizes(10, 3, 5), rows_per_part=rows_per_part)  # type: ignore[arg-type]
