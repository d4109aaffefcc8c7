"""Run a command with both servers running: ``python -m local_servers [--bucket NAME] -- COMMAND ARGUMENTS…``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import urllib.request
from typing import NoReturn

from local_servers.pinned_environment import EnvironmentFailed
from local_servers.pythons import PythonMissing

from .environments import BIGQUERY, STORAGE
from .servers import BigQueryServer, ServerFailed, StorageServer, client_environment

PROJECT = "example-project"
INTERRUPTED = 128 + signal.SIGINT


def main(arguments: list[str]) -> int:
    """Return the exit status of the command, or 1 if the servers could not be started."""
    parser = argparse.ArgumentParser(prog="python -m local_servers", description=__doc__)
    parser.add_argument("--bucket", default="example-bucket", help="the bucket to create (default: %(default)s)")
    parser.add_argument("command", nargs="+", help="what to run, after --")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    try:
        for environment in (STORAGE, BIGQUERY):
            environment.ensure(_say)
        with StorageServer() as storage, BigQueryServer(storage.direct_url) as bigquery:
            create_bucket(storage, options.bucket)
            demo = {"META_GCS_BUCKET": options.bucket, "GOOGLE_CLOUD_PROJECT": PROJECT}
            return run(options.command, client_environment(storage, bigquery) | demo)
    except (PythonMissing, EnvironmentFailed, ServerFailed) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def create_bucket(storage: StorageServer, name: str) -> None:
    """Create a bucket. Google's client is not used, so that this command needs only Python."""
    request = urllib.request.Request(
        f"{storage.direct_url}/storage/v1/b?project={PROJECT}",
        json.dumps({"name": name}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=30).close()


def run(command: list[str], variables: dict[str, str]) -> int:
    """Run the command and return its exit status as a shell would. An interrupt also ends the command."""
    try:
        process = subprocess.Popen(command, env={**os.environ, **variables})
    except OSError as error:
        _say(f"{command[0]}: {error.strerror}")
        return 127
    try:
        status = process.wait()
    except BaseException:
        # Ctrl-C reached the command too; let it shut down cleanly.
        process.terminate()
        process.wait()
        raise
    return status if status >= 0 else 128 - status


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _end(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
