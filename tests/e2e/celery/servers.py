"""A Redis and a PostgreSQL for one test: on loopback and free ports, with their data in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.celery.programs import program
from tests.e2e.scheduler import free_port

SECONDS_TO_START = 30
SECONDS_TO_STOP = 10
ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Servers:
    """The URLs of the broker and the database, and the folder with their data and logs."""

    folder: Path
    broker_url: str
    database_url: str

    def dump_broker(self, path: Path) -> None:
        """Writes everything in the broker, including messages that a worker had taken when it died."""
        import redis

        with redis.Redis.from_url(self.broker_url) as client, path.open("w", encoding="utf-8") as output:
            read: dict[bytes, Callable[[bytes], object]] = {
                b"string": client.get,
                b"list": lambda key: client.lrange(key, 0, -1),
                b"hash": client.hgetall,
                b"set": client.smembers,
                b"zset": lambda key: client.zrange(key, 0, -1),
            }
            output.writelines(f"{key!r}: {read[client.type(key)](key)!r}\n" for key in client.scan_iter())

    def dump_database(self, path: Path) -> None:
        """Writes everything in the database as SQL."""
        url = self.database_url.replace("+psycopg2", "")
        command = [program("pg_dump"), "--inserts", f"--file={path}", url]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS_TO_START)


@contextmanager
def servers() -> Iterator[Servers]:
    """Runs both, empty, until the end of the block; raises ``FileNotFoundError`` if a program is not installed."""
    # Outside the test's own folder, which only root can read: PostgreSQL refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="metaconv-celery-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        postgres = pwd.getpwnam("postgres")
        user = {"user": postgres.pw_uid, "group": postgres.pw_gid, "extra_groups": []}
        os.chown(folder, postgres.pw_uid, postgres.pw_gid)
    try:
        with _redis(folder, user) as broker_url, _postgres(folder, user) as database_url:
            yield Servers(folder, broker_url, database_url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _redis(folder: Path, user: dict[str, Any]) -> Iterator[str]:
    port = free_port()
    settings = ["--bind", ADDRESS, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with _running([program("redis-server"), *settings], port, folder / "redis.log", user, _listens):
        yield f"redis://{ADDRESS}:{port}/0"


@contextmanager
def _postgres(folder: Path, user: dict[str, Any]) -> Iterator[str]:
    port, data = free_port(), folder / "postgres"
    subprocess.run(
        [program("initdb"), "-D", str(data), "-U", "airflow", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        **_plain(folder, user),
        check=True,
        capture_output=True,
        timeout=SECONDS_TO_START,
    )
    settings = {"listen_addresses": ADDRESS, "port": port, "unix_socket_directories": folder, "fsync": "off"}
    command = [program("postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with _running(command, port, folder / "postgres.log", user, _accepts_clients):
        yield f"postgresql+psycopg2://airflow@{ADDRESS}:{port}/postgres"


@contextmanager
def _running(
    command: Sequence[str], port: int, log: Path, user: dict[str, Any], is_ready: Callable[[int], bool]
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **_plain(log.parent, user),
        )
        try:
            _wait_until(is_ready, process, port, log)
            yield
        finally:
            _stop(process)


def _plain(folder: Path, user: dict[str, Any]) -> dict[str, Any]:
    # The caller's variables (PGDATA, PGPORT) may name another PostgreSQL, and its folder may not be readable.
    return {"cwd": folder, "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}, **user}


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1):
        return True
    return False


def _accepts_clients(port: int) -> bool:
    """PostgreSQL listens before it accepts clients."""
    command = [program("pg_isready"), "--host", ADDRESS, "--port", str(port), "--timeout", "1"]
    return subprocess.run(command, capture_output=True, timeout=SECONDS_TO_START, check=False).returncode == 0


def _wait_until(is_ready: Callable[[int], bool], process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not is_ready(port):
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    # SIGINT is PostgreSQL's fast shutdown, which does not wait for clients; Redis treats it like SIGTERM.
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_STOP)
            return
