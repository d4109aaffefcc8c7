"""One extraction in a separate process, to be killed.

``python -m tests.integration.extract.kill_target URL TOKEN FOLDER UNTIL FORMAT ROWS``
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

from airflow_provider_metaconv.extract.page_sizes import Sizes
from tests.integration.extract.extraction import extract


def main(url: str, token: str, folder: str, until: str, file_format: str, rows_per_part: str) -> None:
    """Extracts Page 100 like the tests."""
    server = SimpleNamespace(url=url, user_token=token)
    extract(
        server,  # type: ignore[arg-type]
        Path(folder),
        until=datetime.fromisoformat(until),
        sizes=Sizes(10, 3, 5),
        file_format=file_format,
        rows_per_part=int(rows_per_part),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
