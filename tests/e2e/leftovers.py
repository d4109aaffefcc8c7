"""What runs leave behind, searched for secrets: every file whole, and what is packed in it as well.

A secret is looked for as it is, as URLs, JSON, base64 and hexadecimal write it. Databases are read as SQL does, Parquet
by its values, gzip and zip unpacked: there the bytes alone show nothing.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import io
import json
import sqlite3
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from airflow_provider_metaconv.demo.source import PAGES
from airflow_provider_metaconv.emulator.tokens import APP_SECRET, SYSTEM_USER_TOKEN, USER_TOKEN, TokenBook

SHORTEST = 8
"""Shorter ones are found by chance."""


@dataclass(frozen=True, order=True)
class Leak:
    """A secret by its name, never by its value, and the file that it was found in."""

    secret: str
    path: str


def leaks(folder: Path, secrets: Mapping[str, str], *, spared: Iterable[Path] = ()) -> list[Leak]:
    """The secrets that are in files below ``folder`` or in their names; ``spared`` files and folders are not read."""
    forms = {name: _forms(value) for name, value in secrets.items()}
    spared = tuple(spared)
    found: set[Leak] = set()
    for path in sorted(folder.rglob("*")):
        if any(path == each or each in path.parents for each in spared):
            continue
        shown = str(path.relative_to(folder))
        contents = [shown.encode(), *(_contents(path) if path.is_file() and not path.is_symlink() else ())]
        for content in contents:
            found |= {Leak(name, shown) for name, written in forms.items() if any(each in content for each in written)}
    return sorted(found)


def credentials(page_ids: Iterable[str], app_secret: str = APP_SECRET) -> dict[str, str]:
    """All that the emulator's clients keep secret: its tokens, its app secret, and the proofs that are made of both."""
    book = TokenBook(page_ids, frozenset(), app_secret)
    tokens = {"user token": USER_TOKEN, "system-user token": SYSTEM_USER_TOKEN, "app token": book.app_token}
    tokens |= {f"token of Page {page_id}": value for page_id, value in book.page_tokens.items()}
    proofs = {
        f"proof of the {name}": hmac.new(app_secret.encode(), value.encode(), hashlib.sha256).hexdigest()
        for name, value in tokens.items()
    }
    return {**tokens, **proofs, "app secret": app_secret}


def texts(database: Path, most: int = 200) -> dict[str, str]:
    """What people wrote, by its place in a list; texts that are too short may be anywhere by chance."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        query = "SELECT DISTINCT text FROM messages WHERE length(text) > 25 ORDER BY text LIMIT $1"
        found = connection.execute(query, [most]).fetchall()
    return {f"text {number}": text for number, (text,) in enumerate(found)}


def _forms(value: str) -> frozenset[bytes]:
    """All ways in which a secret may be written."""
    assert len(value) >= SHORTEST, "too short to be looked for"
    plain = value.encode()
    forms = {plain, quote(value, safe="").encode(), json.dumps(value)[1:-1].encode(), plain.hex().encode()}
    for shift in range(3):
        # The ends depend on what stands beside it.
        encoded = base64.b64encode(b"\0" * shift + plain)
        middle = encoded[(8 * shift + 5) // 6 : len(encoded) - 4]
        forms |= {middle, middle.translate(bytes.maketrans(b"+/", b"-_"))}
    return frozenset(forms)


def _contents(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    yield from _unpacked(content)
    if content.startswith(b"SQLite format 3\0"):
        yield from _sqlite_values(path)
    elif content[8:12] == b"DUCK":
        yield from _duckdb_values(path)


def _unpacked(content: bytes) -> Iterator[bytes]:
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield from _unpacked(_gunzipped(content))
    elif content.startswith(b"PAR1"):
        yield _parquet_values(content)
    elif content.startswith(b"PK\3\4"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from _unpacked(archive.read(name))


def _gunzipped(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error):
        # Half a file, as a killed task leaves it: what can be read of it.
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(content)


def _parquet_values(content: bytes) -> bytes:
    from pyarrow import parquet

    return json.dumps(parquet.read_table(io.BytesIO(content)).to_pylist(), default=str, ensure_ascii=False).encode()


def _sqlite_values(path: Path) -> Iterator[bytes]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield from _unpacked(b"\n".join(_bytes(value) for value in row))
                yield from (inner for value in row if isinstance(value, bytes) for inner in _unpacked(value))
    connection.close()


def _duckdb_values(path: Path) -> Iterator[bytes]:
    import duckdb

    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
        for schema, table in tables:
            cursor = connection.execute(f'SELECT * FROM "{schema}"."{table}"')
            while rows := cursor.fetchmany(10_000):
                yield b"\n".join(_bytes(value) for row in rows for value in row)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def main(folders: Iterable[str]) -> int:
    """Searches the folders of demos that have ended; 1 when a secret is in one of them."""
    found = []
    for folder in map(Path, folders):
        secrets = credentials([str(100 + number) for number in range(PAGES)])
        # The emulator speaks of its own tokens, which are in its documentation; messages are where they belong.
        parts = [*folder.rglob("messages-*"), *folder.rglob("_checkpoint*"), *folder.rglob("*.duckdb*")]
        found += leaks(folder, secrets, spared=[folder / "emulator.log"])
        written = [each for database in folder.rglob("*.duckdb") for each in texts(database).items()]
        found += leaks(folder, dict(written), spared=parts)
        sys.stdout.write(f"{folder}: {len(secrets)} secrets and {len(written)} texts looked for\n")
    sys.stdout.writelines(f"FOUND: {leak.secret} in {leak.path}\n" for leak in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
