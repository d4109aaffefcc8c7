"""The process of the BigQuery server: local-bigquery, set up to work offline.

`servers` starts it in its own environment; see `main` for its options.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import duckdb
import uvicorn

from . import parent_watchdog

DATASET = "default_dataset"


def set_up_late() -> None:
    """Make DuckDB set its time zone after connecting: as a connection option it would need an extension.

    It also uses one thread: with two, small queries take a third more CPU time.
    """
    connect: Callable[..., duckdb.DuckDBPyConnection] = duckdb.connect

    def connect_first(*arguments: Any, config: dict[str, Any] | None = None, **named: Any) -> duckdb.DuckDBPyConnection:
        options = dict(config or {})
        time_zone = options.pop("TimeZone", None)
        connection = connect(*arguments, config=options, **named)
        connection.execute("SET threads = 1")
        if time_zone is not None:
            connection.execute(f"SET GLOBAL TimeZone = '{time_zone}'")
        return connection

    duckdb.connect = connect_first


def main() -> None:
    """Serve until the parent process ends."""
    parser = parent_watchdog.arguments()
    parser.add_argument("--project", required=True)
    options = parser.parse_args()
    if options.temporary:
        parent_watchdog.exit_with_parent(options.temporary)
    elif options.folder is None:
        parser.error("--folder is required without --temporary")
    set_up_late()

    # Imported late, because they keep the duckdb.connect that they find when imported.
    import local_bigquery
    from local_bigquery.engine import database
    from local_bigquery.settings import settings

    from .bigquery_catalog import remember_catalog
    from .bigquery_loads import repair_loads

    remember_catalog()
    repair_loads(settings.storage_emulator_host)
    settings.data_dir = options.folder or options.temporary / "tables"
    settings.default_project_id = options.project
    settings.default_dataset_id = DATASET
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((options.host, options.port))
    listener.listen(128)
    database.connection()  # the first connection builds the catalog, which takes a second
    parent_watchdog.announce(listener.getsockname()[1])
    configuration = uvicorn.Config(local_bigquery.app, log_level="warning", access_log=False)
    uvicorn.Server(configuration).run(sockets=[listener])


if __name__ == "__main__":
    main()
