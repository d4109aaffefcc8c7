"""Searches the files that runs leave behind for secrets, including compressed and packed content.

A secret is searched for literally and as encoded in URLs, JSON, Python, base64 and hexadecimal. Databases are read by
SQL, Parquet by its values, and gzip, zlib and zip are unpacked, because their bytes alone show nothing.

No location is exempt: a connection that Airflow stores is encrypted with a key in ``airflow.cfg``, and the tests pass
theirs to processes by the environment, which no file contains. Secrets that Airflow or the tests create themselves (its
Fernet and JWT keys, the passwords of the trial's users) are not searched for: they are in files as settings.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import sqlite3
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

from airflow_provider_metaconv.demo.source import PAGES
from airflow_provider_metaconv.emulator.settings import APP_SECRET
from airflow_provider_metaconv.emulator.tokens import SYSTEM_USER_TOKEN, USER_TOKEN, TokenStore

SHORTEST = 8
"""Shorter secrets would match by chance."""

ZLIB = tuple(bytes((0x78, level)) for level in (0x01, 0x5E, 0x9C, 0xDA))
"""The first bytes at each compression level."""

ANNOUNCED = ("user token: ", "app secret: ", "page token of ", "Airflow connection: export ", "try: curl ")
"""The lines in which the emulator prints its own tokens, which are public and valid nowhere else."""


@dataclass(frozen=True, order=True)
class Leak:
    """The name of a secret (never its value), the file in which it was found, and where in that file."""

    secret: str
    path: str
    where: str


def leaks(folder: Path, secrets: Mapping[str, str], *, spared: Iterable[Path] = ()) -> list[Leak]:
    """The secrets in files below ``folder`` or in their names; ``spared`` files and folders are skipped."""
    forms = {name: _forms(value) for name, value in secrets.items()}
    spared = tuple(spared)
    found: set[Leak] = set()
    for path, where, content in contents(folder):
        if any(path == each or each in path.parents for each in spared):
            continue
        shown = str(path.relative_to(folder))
        found |= {
            Leak(name, shown, where) for name, written in forms.items() if any(each in content for each in written)
        }
    return sorted(found)


def contents(folder: Path) -> Iterator[tuple[Path, str, bytes]]:
    """Every path below ``folder``, with each of its contents and where it is: the name, the bytes, what is packed."""
    for path in sorted(folder.rglob("*")):
        for where, content in _contents(path, str(path.relative_to(folder))):
            yield path, where, content


def places_of_messages(folder: Path) -> list[Path]:
    """The files below ``folder`` that are meant to contain message texts; manifests and ledgers are not."""
    return [path for pattern in ("messages-*", "_checkpoint*", "*.duckdb*") for path in folder.rglob(pattern)]


def credentials(page_ids: Iterable[str], app_secret: str = APP_SECRET) -> dict[str, str]:
    """All secrets of the emulator's clients: tokens, the app secret, and the proofs derived from both."""
    store = TokenStore(page_ids, frozenset(), app_secret)
    tokens = {"user token": USER_TOKEN, "system-user token": SYSTEM_USER_TOKEN, "app token": store.app_token}
    tokens |= {f"token of Page {page_id}": value for page_id, value in store.page_tokens.items()}
    proofs = {
        f"proof of the {name}": hmac.new(app_secret.encode(), value.encode(), hashlib.sha256).hexdigest()
        for name, value in tokens.items()
    }
    return {**tokens, **proofs, "app secret": app_secret}


def texts(database: Path, most: int = 200) -> dict[str, str]:
    """A selection of message texts, by number; shorter texts could match by chance."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        query = "SELECT DISTINCT text FROM messages WHERE length(text) > 25 ORDER BY hash(text) LIMIT $1"
        found = connection.execute(query, [most]).fetchall()
    return {f"text {number}": text for number, (text,) in enumerate(found)}


def _forms(value: str) -> frozenset[bytes]:
    """All encodings of a secret."""
    assert len(value) >= SHORTEST, "too short to be searched for"
    plain = value.encode()
    forms = {plain, quote(value, safe="").encode(), quote_plus(value).encode(), plain.hex().encode()}
    forms |= {json.dumps(value, ensure_ascii=ascii_only)[1:-1].encode() for ascii_only in (True, False)}
    forms.add(repr(value)[1:-1].encode())
    for shift in range(3):
        # The ends depend on the adjacent bytes.
        encoded = base64.b64encode(b"\0" * shift + plain)
        middle = encoded[(8 * shift + 5) // 6 : len(encoded) - 4]
        forms |= {middle, middle.translate(bytes.maketrans(b"+/", b"-_"))}
    return frozenset(forms)


def _contents(path: Path, shown: str) -> Iterator[tuple[str, bytes]]:
    """The contents of a file, each with its location."""
    yield "name", shown.encode()
    if path.is_symlink():
        yield "target of the link", str(path.readlink()).encode()
    elif path.is_file():
        content = path.read_bytes()
        yield from unpacked("bytes", content)
        if content.startswith(b"SQLite format 3\0"):
            yield from _sqlite_values(path)
        elif content[8:12] == b"DUCK":
            yield from _duckdb_values(path)


def unpacked(where: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """The content, and everything that is packed in it, each with its location."""
    yield where, content
    if content.startswith(b"\x1f\x8b"):
        yield from unpacked(f"{where}, gzip", _inflated(content, 16 + zlib.MAX_WBITS))
    elif content.startswith(ZLIB):
        yield from unpacked(f"{where}, zlib", _inflated(content, zlib.MAX_WBITS))
    elif content.startswith(b"PAR1"):
        yield f"{where}, Parquet", _parquet_values(content)
    elif content.startswith(b"PK\3\4"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield f"{where}, zip, name", name.encode()
                yield from unpacked(f"{where}, zip, {name}", archive.read(name))


def _inflated(content: bytes, window_bits: int) -> bytes:
    """All members in order; of an incomplete file, as a killed task leaves it, the readable part."""
    inflated = b""
    while content:
        member = zlib.decompressobj(window_bits)
        try:
            inflated += member.decompress(content)
        except zlib.error:
            break
        content = member.unused_data
    return inflated


def _parquet_values(content: bytes) -> bytes:
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(content))
    return b"\n".join(_bytes(value) for column in table.columns for value in column.to_pylist())


def _sqlite_values(path: Path) -> Iterator[tuple[str, bytes]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        connection.text_factory = bytes  # also for values that are not text
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    yield from unpacked(f"table {table}", _bytes(value))


def _duckdb_values(path: Path) -> Iterator[tuple[str, bytes]]:
    import duckdb

    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
        for schema, table in tables:
            cursor = connection.execute(f'SELECT * FROM "{schema}"."{table}"')
            while rows := cursor.fetchmany(10_000):
                yield f"table {table}", b"\n".join(_bytes(value) for row in rows for value in row)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def demo_leaks(folder: Path, written: Mapping[str, str]) -> list[Leak]:
    """The emulator's secrets and these texts, where they do not belong, in the folder of a finished demo."""
    secrets = credentials([str(100 + number) for number in range(PAGES)])
    log = folder / "emulator.log"
    lines = [line for line in log.read_text("utf-8").splitlines() if not line.startswith(ANNOUNCED)]
    return [
        *leaks(folder, secrets, spared=[log]),
        *(
            Leak(name, log.name, "outside its announcements")
            for name, value in secrets.items()
            if any(form in line.encode() for form in _forms(value) for line in lines)
        ),
        *leaks(folder, written, spared=places_of_messages(folder)),
    ]


def main(arguments: Iterable[str]) -> int:
    """Searches the folders of finished demos. Returns 1 if there is a secret, or if there was nothing to search for."""
    folders = list(map(Path, arguments))
    # Both demos read the same world; BigQuery's tables are gone with its server.
    databases = [database for folder in folders for database in folder.rglob("*.duckdb")]
    written = {f"{database}: {name}": text for database in databases for name, text in texts(database).items()}
    found = [(folder, leak) for folder in folders for leak in demo_leaks(folder, written)]
    sys.stdout.writelines(f"FOUND: {leak.secret} in {folder / leak.path}, {leak.where}\n" for folder, leak in found)
    searched = " and ".join(map(str, folders))
    sys.stdout.write(f"{searched}: searched for every token, secret and proof, and {len(written)} texts\n")
    return 1 if found or not written else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
