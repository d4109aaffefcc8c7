"""An extraction that kills itself after it has published.

``python -m tests.integration.extract.kill_target_in_cleanup URL TOKEN FOLDER UNTIL REMOVALS``
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files import LocalStorage
from tests.integration.extract.extraction import extract


class KilledInCleanup(LocalStorage):
    """A folder that, once the manifest is published, allows so many removals and then kills the process."""

    removals = -1

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        super().publish_bytes(data, name, durable=durable)
        if name == "_manifest.json":
            self.removals = int(sys.argv[5])

    def delete(self, name: str) -> None:
        if self.removals == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.removals -= 1
        super().delete(name)


if __name__ == "__main__":
    server = SimpleNamespace(url=sys.argv[1], user_token=sys.argv[2])
    extract(
        server,  # type: ignore[arg-type]
        KilledInCleanup(Path(sys.argv[3])),
        until=datetime.fromisoformat(sys.argv[4]),
        sizes=Sizes(10, 3, 5),
        rows_per_part=100_000,
    )
