"""The process of the BigQuery server: local-bigquery, started so that it works without the internet.

It runs in its own environment; `servers` starts it there, see `main` for its options.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import duckdb
import uvicorn

from . import lifeline

DATASET = "default_dataset"


def set_time_zone_late() -> None:
    """Let DuckDB set its time zone after connecting: as an option of connecting it would look for an extension."""
    connect: Callable[..., duckdb.DuckDBPyConnection] = duckdb.connect

    def connect_first(*arguments: Any, config: dict[str, Any] | None = None, **named: Any) -> duckdb.DuckDBPyConnection:
        options = dict(config or {})
        time_zone = options.pop("TimeZone", None)
        connection = connect(*arguments, config=options, **named)
        if time_zone is not None:
            connection.execute(f"SET GLOBAL TimeZone = '{time_zone}'")
        return connection

    duckdb.connect = connect_first


def main() -> None:
    """Serve until the starter ends."""
    parser = lifeline.arguments()
    parser.add_argument("--project", required=True)
    options = parser.parse_args()
    if options.temporary:
        lifeline.end_with_starter(options.temporary)
    elif options.folder is None:
        parser.error("--folder is needed where there is no --temporary")
    set_time_zone_late()

    # Imported late: they connect to DuckDB as it was when they were imported.
    import local_bigquery
    from local_bigquery.engine import database
    from local_bigquery.settings import settings

    from .bigquery_loads import repair_loads

    repair_loads(settings.storage_emulator_host)
    settings.data_dir = options.folder or options.temporary / "tables"
    settings.default_project_id = options.project
    settings.default_dataset_id = DATASET
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((options.host, options.port))
    listener.listen(128)
    database.connection()  # the first one builds the catalog, which takes a second
    lifeline.announce(listener.getsockname()[1])
    configuration = uvicorn.Config(local_bigquery.app, log_level="warning", access_log=False)
    uvicorn.Server(configuration).run(sockets=[listener])


if __name__ == "__main__":
    main()
