"""The contents of PostgreSQL and Redis can be searched: a secret in them is found."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.e2e.celery.servers import servers
from tests.e2e.leftovers import leaks

pytestmark = pytest.mark.celery

SECRET = "EAAB/not+a=real:token"
FILLING = "filling " * 5_000


def test_a_secret_in_the_database_or_the_broker_is_found(tmp_path: Path) -> None:
    import psycopg2
    import redis

    with servers() as backends:
        connection = psycopg2.connect(backends.database_url.replace("+psycopg2", ""))
        with connection, connection.cursor() as cursor:
            # Long enough to be compressed: the database files alone do not show it.
            cursor.execute("CREATE TABLE texts (value TEXT); CREATE TABLE bytes (value BYTEA)")
            cursor.execute("INSERT INTO texts VALUES (%s)", (f"{FILLING}{SECRET}{FILLING}",))
            cursor.execute("INSERT INTO bytes VALUES (%s)", (f"{FILLING}{SECRET}{FILLING}".encode(),))
        connection.close()
        with redis.Redis.from_url(backends.broker_url) as client:
            body = base64.b64encode(json.dumps([[SECRET], {}]).encode()).decode()
            client.lpush("default", json.dumps({"body": body}))
            client.hset("unacked", "tag", SECRET)
        backends.dump_database(tmp_path / "metadata.sql")
        backends.dump_broker(tmp_path / "broker.txt")
    assert [leak.path for leak in leaks(tmp_path, {"token": SECRET})] == ["broker.txt", "metadata.sql"]
    lines = (tmp_path / "metadata.sql").read_text("utf-8").splitlines()
    for number, line in enumerate(line for line in lines if line.startswith("INSERT INTO")):
        (tmp_path / f"row-{number}").write_text(line)
    assert len([leak for leak in leaks(tmp_path, {"token": SECRET}) if leak.path.startswith("row-")]) == 2
