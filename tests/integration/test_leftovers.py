"""The search for secrets in what runs leave behind finds them in every form and format."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
import requests

from airflow_provider_metaconv.demo.source import running_emulator
from airflow_provider_metaconv.files import LocalStorage, PartsWriter
from airflow_provider_metaconv.schema import MESSAGES
from tests.e2e.leftovers import demo_leaks, leaks, main, places_of_messages

SECRET = "EAAB/not+a=real:token"
LONG = "filling " * 10_000


def sqlite_file(folder: Path) -> None:
    with sqlite3.connect(folder / "it") as connection:
        connection.execute("CREATE TABLE xcom (value TEXT)")
        connection.execute("INSERT INTO xcom VALUES (?)", (f"{LONG}{SECRET}{LONG}",))
    connection.close()


def sqlite_file_with_compressed_values(folder: Path) -> None:
    with sqlite3.connect(folder / "it") as connection:
        connection.execute("CREATE TABLE serialized_dag (data BLOB, other TEXT)")
        connection.execute(
            "INSERT INTO serialized_dag VALUES (?, CAST(? AS TEXT))", (zlib.compress(SECRET.encode()), b"\xff")
        )
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
    "the second part of a gzip": lambda folder: (folder / "it").write_bytes(
        gzip.compress(LONG.encode()) + gzip.compress(SECRET.encode())
    ),
    "half a gzip": lambda folder: (folder / "it").write_bytes(gzip.compress(f"{SECRET}{LONG}".encode())[:-9]),
    "zip": zipped,
    "SQLite": sqlite_file,
    "zlib in SQLite": sqlite_file_with_compressed_values,
    "target of a link": lambda folder: (folder / "it").symlink_to(folder / f"of {SECRET}"),
    "DuckDB": duckdb_file,
    "NDJSON": lambda folder: part(folder, "ndjson"),
    "Parquet": lambda folder: part(folder, "parquet"),
}


@pytest.mark.parametrize("place", HIDING)
def test_a_secret_is_found(tmp_path: Path, place: str) -> None:
    HIDING[place](tmp_path)
    assert {(leak.secret, leak.path) for leak in leaks(tmp_path, {"token": SECRET})} == {("token", "it")}
    assert leaks(tmp_path, {"token": SECRET}, spared=[tmp_path / "it"]) == []
    assert leaks(tmp_path, {"other": "another-secret"}) == []


def test_a_secret_is_found_in_the_name_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "token-of-mine" / "inner").mkdir(parents=True)
    found = leaks(tmp_path, {"token": "token-of-mine"})
    assert [leak.path for leak in found] == ["token-of-mine", "token-of-mine/inner"]


def test_the_secret_itself_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "it").write_text(SECRET)
    assert SECRET not in repr(leaks(tmp_path, {"token": SECRET}))


def test_the_location_of_a_secret_is_reported(tmp_path: Path) -> None:
    sqlite_file_with_compressed_values(tmp_path)
    assert [leak.where for leak in leaks(tmp_path, {"token": SECRET})] == ["table serialized_dag, zlib"]


@pytest.mark.parametrize("text", ["two\nlines, Ünïcode", 'It\'s "quoted" and \\ more'])
@pytest.mark.parametrize("write", [json.dumps, lambda text: json.dumps(text, ensure_ascii=False), repr])
def test_message_text_is_found_in_escaped_forms(tmp_path: Path, text: str, write: Callable[[str], str]) -> None:
    (tmp_path / "task.log").write_text(f"returned {write(text)}")
    assert [leak.path for leak in leaks(tmp_path, {"text": text})] == ["task.log"]


def demo(folder: Path, log: str = "", manifest: str = "") -> Path:
    """A smaller version of what a demo leaves behind."""
    folder.mkdir()
    (folder / "emulator.log").write_text(f"user token: emulator-user-token\n{log}\n")
    (folder / "_manifest.json").write_text(manifest)
    with duckdb.connect(str(folder / "it.duckdb")) as connection:
        connection.execute("CREATE TABLE messages AS SELECT 'What are your opening hours on Sunday?' AS text")
    return folder


def test_the_demo_emulator_logs_only_its_own_token(tmp_path: Path) -> None:
    with running_emulator(tmp_path, messages=100, now=datetime(2026, 11, 20, tzinfo=UTC)) as emulator:
        response = requests.get(f"{emulator.url}/v26.0/me/accounts?access_token={emulator.token}", timeout=10)
        assert response.status_code == 200
    log = tmp_path / "emulator.log"
    assert list(tmp_path.iterdir()) == [log]
    assert emulator.token in log.read_text("utf-8")
    assert demo_leaks(tmp_path, {}) == []


def test_the_emulators_start_message_is_not_a_leak(tmp_path: Path) -> None:
    assert demo_leaks(demo(tmp_path / "clean"), {}) == []
    leaking = demo(tmp_path / "leak", log="GET /me?access_token=emulator-user-token")
    assert [(leak.secret, leak.path) for leak in demo_leaks(leaking, {})] == [("user token", "emulator.log")]


def test_message_text_is_a_leak_only_outside_parts_and_tables(tmp_path: Path) -> None:
    text = "What are your opening hours on Sunday?"
    folder = demo(tmp_path / "demo", manifest=json.dumps({"reason": text}))
    (folder / "messages-00000.ndjson").write_text(text)
    found = leaks(folder, {"text": text}, spared=places_of_messages(folder))
    assert [leak.path for leak in found] == ["_manifest.json"]


def test_the_demo_search_fails_on_a_leak_or_missing_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(demo(tmp_path / "clean"))]) == 0
    assert main([str(demo(tmp_path / "token", manifest="emulator-page-token-102"))]) == 1
    assert main([str(demo(tmp_path / "text", manifest="What are your opening hours on Sunday?"))]) == 1
    printed = capsys.readouterr().out
    assert f"FOUND: token of Page 102 in {tmp_path}/token/_manifest.json, bytes" in printed
    assert "emulator-page-token" not in printed
    assert "opening hours" not in printed
    (tmp_path / "clean" / "it.duckdb").unlink()
    assert main([str(tmp_path / "clean")]) == 1
