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
from local_bigquery.models import JobConfigurationLoad, JobStatistics2
from local_bigquery.sql.dialect import BigQueryDialect
from local_bigquery.sql.translate import Context, parse, translate
from sqlglot import exp

LIST_TIMEOUT_SECONDS = 60.0

_SEVERAL_SOURCES = """
SELECT (SELECT COUNT(*) FROM {target} JOIN {source} ON {condition})
     > (SELECT COUNT(*) FROM {target} WHERE EXISTS (SELECT 1 FROM {source} WHERE {condition}))
"""


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
    merge.run = by_duckdb(merge.run)


def by_duckdb(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a MERGE that DuckDB carries out, in a transaction or not; ``run`` carries out those that delete.

    local-bigquery finds the rows to update by their ``rowid``, which DuckLake gives to several rows.
    """

    def run_by_duckdb(cursor: duckdb.DuckDBPyConnection, tree: exp.Merge, context: Context) -> Any:
        def one(statement: exp.Expression) -> Any:
            [value] = cursor.execute(*translate(statement, context)).fetchone() or [0]
            return value

        updates: list[exp.When] = []
        others: list[exp.When] = []
        for when in tree.args["whens"].expressions:
            action = when.args["then"]
            if isinstance(action, exp.Var):
                return run(cursor, tree, context)
            if isinstance(action.this, exp.Var):
                action.set("this", exp.Star())  # INSERT ROW
            (updates if isinstance(action, exp.Update) else others).append(when)
        if len(updates) > 1:
            tree.args["whens"].set("expressions", [one_update(updates, tree.this.alias_or_name), *others])
        names = {"target": tree.this, "source": tree.args["using"], "condition": tree.args["on"]}
        sql = {name: node.sql(dialect=BigQueryDialect) for name, node in names.items()}
        if one(parse(_SEVERAL_SOURCES.format(**sql))[0]):
            message = "UPDATE/MERGE must match at most one source row for each target row"
            raise BigQueryError("invalidQuery", message)
        [number_of_rows] = parse("SELECT COUNT(*) FROM {target}".format(**sql))
        before, changed = one(number_of_rows), one(tree)
        inserted = one(number_of_rows) - before
        counts = {"insertedRowCount": inserted, "updatedRowCount": changed - inserted, "deletedRowCount": 0}
        stats = {name: str(count) for name, count in counts.items()}
        return JobStatistics2(numDmlAffectedRows=str(changed), dmlStats=stats)

    return run_by_duckdb


def one_update(whens: list[exp.When], target: str) -> exp.When:
    """Return one WHEN MATCHED clause, all that DuckLake allows, for several: the first that applies updates a row."""
    conditions = [when.args.get("condition") or exp.true() for when in whens]
    values = [{each.this.name: each.expression for each in when.args["then"].expressions} for when in whens]
    updated = []
    for name in dict.fromkeys(name for each in values for name in each):
        kept = exp.column(name, target)
        case = exp.Case(default=kept)
        for condition, each in zip(conditions, values, strict=True):
            case = case.when(condition, each.get(name, kept))
        updated.append(exp.EQ(this=exp.column(name), expression=case))
    return exp.When(matched=True, condition=exp.or_(*conditions), then=exp.Update(expressions=updated))


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
