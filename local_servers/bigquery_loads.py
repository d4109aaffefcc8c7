"""Jobs as in the real service: which objects a `*` matches, which rows are invalid, and MERGE in a transaction."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
from local_bigquery.errors import BigQueryError
from local_bigquery.jobs import load, merge, runner, storage
from local_bigquery.models import JobConfigurationLoad

LIST_TIMEOUT_SECONDS = 60.0


def repair_loads(storage_url: str) -> None:
    """Replace what local-bigquery does differently from the real service."""
    secret_for = storage.paths

    def paths(cursor: duckdb.DuckDBPyConnection, uri: str) -> list[str]:
        secret_for(cursor, uri)
        return find_objects(storage_url, uri)

    def hive(config: JobConfigurationLoad) -> dict[str, str]:
        # DuckDB turns folders named like page_id=100 into columns even if the job does not request it.
        by_name = {"union_by_name": "true"} if config.sourceFormat == "PARQUET" else {}
        return (requested(config) or {"hive_partitioning": "false"}) | by_name

    requested, load._hive = load._hive, hive
    load._reader = filled(load._reader)
    load.paths = paths
    runner.HANDLERS["load"] = checked(load.run)
    merge.run = within_transactions(merge.run)


class OpenTransaction:
    """A cursor that refuses to begin a second transaction: the attempt itself would abort the first."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def execute(self, statement: str, *parameters: Any) -> duckdb.DuckDBPyConnection:
        if statement == "BEGIN":
            raise duckdb.TransactionException("a transaction is open already")
        return self._cursor.execute(statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def within_transactions(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a MERGE that also works in a transaction."""

    def run_within(cursor: duckdb.DuckDBPyConnection, *arguments: Any) -> Any:
        # In a transaction the time does not change; outside, each statement has its own.
        times = {cursor.execute("SELECT epoch_us(transaction_timestamp())").fetchone() for _ in range(2)}
        return run(OpenTransaction(cursor) if len(times) == 1 else cursor, *arguments)

    return run_within


def filled(read: Callable[..., str]) -> Callable[..., str]:
    """Return a reader that reads columns of the schema as NULL if no Parquet file has them."""

    def read_filled(
        cursor: duckdb.DuckDBPyConnection, files: str, config: JobConfigurationLoad, fields: list[Any]
    ) -> str:
        reader = read(cursor, files, config, fields)
        if config.sourceFormat != "PARQUET" or not fields:
            return reader
        found = {name.casefold() for name in cursor.sql(f"SELECT * FROM {reader} LIMIT 0").columns}
        nulls = [f'NULL AS "{field.name}"' for field in fields if field.name.casefold() not in found]
        return f"(SELECT *, {', '.join(nulls)} FROM {reader})" if nulls else reader

    return read_filled


def checked(
    run: Callable[[duckdb.DuckDBPyConnection, JobConfigurationLoad, str | None], Any],
) -> Callable[[duckdb.DuckDBPyConnection, JobConfigurationLoad, str | None], Any]:
    """Return a load that refuses what the real service refuses."""

    def run_checked(cursor: duckdb.DuckDBPyConnection, config: JobConfigurationLoad, uploaded: str | None) -> Any:
        fields = (config.schema_ and config.schema_.fields) or []
        if config.sourceFormat == "NEWLINE_DELIMITED_JSON" and fields and not config.maxBadRecords:
            uris = config.sourceUris or []
            files = [uploaded] if uploaded else [path for uri in uris for path in load.paths(cursor, uri)]
            _check_lines(cursor, config, files)
        return run(cursor, config, uploaded)

    return run_checked


def _check_lines(cursor: duckdb.DuckDBPyConnection, config: JobConfigurationLoad, files: list[str]) -> None:
    lines = f"read_ndjson_objects([{', '.join(map(storage.literal, files))}])"
    known = {field.name.lower() for field in config.schema_.fields}
    required = [field.name for field in config.schema_.fields if field.mode == "REQUIRED"]
    try:
        keys = cursor.sql(f"SELECT DISTINCT unnest(json_keys(json)) FROM {lines}").fetchall()
        missing = [name for name in required if _is_missing(cursor, lines, name)]
    except duckdb.Error:
        return  # the load itself reports the error
    unknown = sorted(key for (key,) in keys if key.lower() not in known)
    if unknown and not config.ignoreUnknownValues:
        raise _wrong_rows(f"No such field: {unknown[0]}.")
    if missing:
        raise _wrong_rows(f"Only optional fields can be set to NULL. Field: {missing[0]}; Value: NULL")


def _is_missing(cursor: duckdb.DuckDBPyConnection, lines: str, name: str) -> bool:
    path = storage.literal(f'$."{name}"')
    found = cursor.sql(f"SELECT 1 FROM {lines} WHERE json_extract_string(json, {path}) IS NULL LIMIT 1")
    return bool(found.fetchall())


def _wrong_rows(problem: str) -> BigQueryError:
    return BigQueryError("invalid", f"Error while reading data, error message: JSON parsing error: {problem}")


def find_objects(storage_url: str, uri: str) -> list[str]:
    """Return the objects that match a ``gs://`` URI, in which `*` matches any text; raises if there are none."""
    bucket, _, pattern = uri.removeprefix("gs://").partition("/")
    parts = pattern.split("*")
    if len(parts) > 2:
        raise BigQueryError("invalid", f"Only one wildcard is supported in a URI: {uri}")
    fits = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    found = [f"gs://{bucket}/{name}" for name in _names(storage_url, bucket, parts[0]) if fits.fullmatch(name)]
    if not found:
        raise BigQueryError("notFound", f"Not found: URI {uri}")
    return found


def _names(storage_url: str, bucket: str, prefix: str) -> Iterator[str]:
    token: str | None = None
    while True:
        query = {"prefix": prefix} | ({"pageToken": token} if token else {})
        address = f"{storage_url}/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=LIST_TIMEOUT_SECONDS) as response:
                page = json.load(response)
        except urllib.error.HTTPError as error:
            message = json.load(error)["error"]["message"]
            raise BigQueryError("notFound" if error.code == 404 else "accessDenied", message) from error
        yield from (each["name"] for each in page.get("items", []))
        token = page.get("nextPageToken")
        if token is None:
            return
