"""The command line: ``python -m airflow_provider_metaconv.emulator --port 8090``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from .admin import example_commands
from .faults import FAULTS, Fault
from .models import World
from .server import EmulatorServer
from .settings import EmulatorSettings, WorldSettings


class _Parser(argparse.ArgumentParser):
    """An argument parser that reports a bad option in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        faults = _faults(options.faults)
        settings, world_settings = _settings(options), _world_settings(options)
        server = EmulatorServer(World.generate(world_settings), settings, options.host, options.port)
        for fault in faults:
            server.add_fault(fault)
        server.start()
    except (ValueError, TypeError, OSError) as error:
        parser.error(str(error))
    try:
        _announce(server)
        if options.ready_file is not None:
            _write_ready_file(server, options.ready_file)
        stopped.wait()
    finally:
        server.stop()
    return 0


def _parser() -> _Parser:
    parser = _Parser(prog="emulator", description="A local emulator of Meta's Graph API for conversations.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the generated world (default: %(default)s)")
    parser.add_argument("--pages", type=int, default=4, help="number of Pages (default: %(default)s)")
    parser.add_argument(
        "--messages", type=int, default=50_000, help="number of messages on all Pages (default: %(default)s)"
    )
    parser.add_argument("--now", help="ISO 8601 time at which the world ends (default: the current minute)")
    parser.add_argument("--days", type=float, default=30, help="days that the world covers (default: %(default)s)")
    parser.add_argument("--faults", help="faults to inject: JSON, or @file with JSON")
    parser.add_argument(
        "--calls-per-second",
        type=float,
        help="per Page and platform; calls beyond it get error 613 (default: no limit)",
    )
    parser.add_argument("--messenger-limit", help="N/SECONDS per Page; calls beyond it get error 80006 (default: none)")
    parser.add_argument("--app-limit", help="N/SECONDS for the app; calls beyond it get error 4 (default: none)")
    parser.add_argument("--require-proof", action="store_true", help="require appsecret_proof")
    parser.add_argument("--latency-ms", type=float, default=0, help="delay of every response (default: %(default)s)")
    parser.add_argument(
        "--arrivals-per-minute", type=float, default=0, help="messages that arrive per minute (default: %(default)s)"
    )
    parser.add_argument("--ready-file", type=Path, help="file to write as JSON once connections are accepted")
    return parser


def _world_settings(options: argparse.Namespace) -> WorldSettings:
    if options.now is None:
        now = datetime.now(tz=UTC).replace(second=0, microsecond=0)
    else:
        now = datetime.fromisoformat(options.now)
    return WorldSettings(options.seed, options.pages, options.messages, now, options.days)


def _settings(options: argparse.Namespace) -> EmulatorSettings:
    return EmulatorSettings(
        calls_per_second=options.calls_per_second,
        messenger_calls=_limit(options.messenger_limit),
        app_calls=_limit(options.app_limit),
        require_proof=options.require_proof,
        latency_ms=options.latency_ms,
        arrivals_per_minute=options.arrivals_per_minute,
    )


def _limit(text: str | None) -> tuple[int, float] | None:
    if text is None:
        return None
    calls, separator, seconds = text.partition("/")
    try:
        limit = int(calls), float(seconds)
    except ValueError:
        limit = (0, 0.0)
    if not separator or min(limit) <= 0:
        raise ValueError(f"a limit must have the form N/SECONDS, such as 200/3600, not {text!r}")
    return limit


def _faults(text: str | None) -> list[Fault]:
    if text is None:
        return []
    if text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"--faults must be valid JSON: {error}") from None
    return [Fault.from_mapping(row) for row in (rows if isinstance(rows, list) else [rows])]


def _announce(server: EmulatorServer) -> None:
    lines = [
        f"Graph API emulator on {server.url} ({len(server.world.messages):,} messages); help: {server.url}/_emulator/",
        f"user token: {server.user_token}",
        f"app secret: {server.app_secret}",
        *(
            f"page token of {page.name} ({page.id}): {server.page_token(page.id)}"
            for page in server.world.pages.values()
        ),
        f"Airflow connection: export AIRFLOW_CONN_META_GRAPH_DEFAULT='{json.dumps(_connection(server))}'",
        f"faults (--faults): {', '.join(sorted(FAULTS))}",
        "try: " + example_commands(server.service, server.url)[0],
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _connection(server: EmulatorServer) -> dict[str, str]:
    return {"conn_type": "meta_graph", "host": server.url, "password": server.user_token}


def _write_ready_file(server: EmulatorServer, path: Path) -> None:
    facts = {
        "url": server.url,
        "user_token": server.user_token,
        "page_tokens": server.service.tokens.page_tokens,
        "app_secret": server.app_secret,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    # The file holds tokens, so only its owner may ever read it.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(facts, indent=2) + "\n")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
