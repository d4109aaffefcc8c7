"""The search for secrets in what runs leave behind finds them wherever one can hide."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest

from airflow_provider_metaconv.files import LocalStorage, PartsWriter
from airflow_provider_metaconv.schema import MESSAGES
from tests.e2e.leftovers import Leak, leaks

SECRET = "EAAB/not+a=real:token"
LONG = "filling " * 10_000


def sqlite_file(folder: Path) -> None:
    with sqlite3.connect(folder / "it") as connection:
        connection.execute("CREATE TABLE xcom (value TEXT)")
        connection.execute("INSERT INTO xcom VALUES (?)", (f"{LONG}{SECRET}{LONG}",))
    connection.close()


def duckdb_file(folder: Path) -> None:
    with duckdb.connect(str(folder / "it")) as connection:
        connection.execute("CREATE TABLE messages (text VARCHAR)")
        connection.execute("INSERT INTO messages SELECT $1 FROM range(5000)", [f"{LONG[:500]}{SECRET}"])


def part(folder: Path, file_format: str) -> None:
    with PartsWriter(LocalStorage(folder), MESSAGES, file_format) as writer:
        writer.write([{"message_id": "m_1", "text": SECRET}])
    (folder / writer.published[0].path).rename(folder / "it")


def zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "it", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("trace.network", gzip.compress(SECRET.encode()))


HIDING: dict[str, Callable[[Path], object]] = {
    "plain": lambda folder: (folder / "it").write_text(f"before {SECRET} after"),
    "in a URL": lambda folder: (folder / "it").write_text(
        f"https://example.com/?access_token={quote(SECRET, safe='')}"
    ),
    "in hexadecimal": lambda folder: (folder / "it").write_text(f"\\x00{SECRET.encode().hex()}"),
    "in base64": lambda folder: (folder / "it").write_bytes(base64.b64encode(f"user:{SECRET}!".encode())),
    "in base64 for URLs": lambda folder: (folder / "it").write_bytes(base64.urlsafe_b64encode(f"u{SECRET}".encode())),
    "in JSON": lambda folder: (folder / "it").write_text(json.dumps({"extra": json.dumps({"token": SECRET})})),
    "gzip": lambda folder: (folder / "it").write_bytes(gzip.compress(SECRET.encode())),
    "half a gzip": lambda folder: (folder / "it").write_bytes(gzip.compress(f"{SECRET}{LONG}".encode())[:-9]),
    "zip": zipped,
    "SQLite": sqlite_file,
    "DuckDB": duckdb_file,
    "NDJSON": lambda folder: part(folder, "ndjson"),
    "Parquet": lambda folder: part(folder, "parquet"),
}


@pytest.mark.parametrize("place", HIDING)
def test_a_secret_is_found(tmp_path: Path, place: str) -> None:
    HIDING[place](tmp_path)
    assert leaks(tmp_path, {"token": SECRET}) == [Leak("token", "it")]
    assert leaks(tmp_path, {"token": SECRET}, spared=[tmp_path / "it"]) == []
    assert leaks(tmp_path, {"other": "another-secret"}) == []


def test_a_secret_is_found_in_the_name_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "token-of-mine" / "inner").mkdir(parents=True)
    found = leaks(tmp_path, {"token": "token-of-mine"})
    assert [leak.path for leak in found] == ["token-of-mine", "token-of-mine/inner"]


def test_what_was_found_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "it").write_text(SECRET)
    assert SECRET not in repr(leaks(tmp_path, {"token": SECRET}))
