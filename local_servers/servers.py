"""The servers that tests start: `StorageServer` and `BigQueryServer`, each with a fault proxy in front."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

from local_servers.pinned_environment import REPOSITORY, PinnedEnvironment

from .environments import BIGQUERY, STORAGE
from .fault_proxy import Fault, FaultProxy

START_TIMEOUT_SECONDS = 90.0
STOP_TIMEOUT_SECONDS = 10.0
PROJECT = "example-project"
Server = TypeVar("Server", bound="GoogleServer")


class ServerFailed(RuntimeError):  # noqa: N818 - it names what happened
    """A server did not start; the message has its output."""


class GoogleServer:
    """A server in its own process, on a free loopback port; use it as a context manager.

    ``url`` goes through a fault proxy, ``direct_url`` does not. Both stay the same until the context ends.
    """

    environment: PinnedEnvironment
    module: str

    def __init__(self, arguments: list[str], variables: dict[str, str]) -> None:
        self._arguments = arguments
        self._variables = variables
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary: Path | None = None
        self._proxy: FaultProxy | None = None

    def __enter__(self: Server) -> Server:
        self.environment.ensure()
        self._temporary = Path(tempfile.mkdtemp(prefix="google-server-"))
        try:
            self._start(self._temporary)
            self._proxy = FaultProxy(self._port)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process and remove its files, except for a given folder."""
        if self._proxy is not None:
            self._proxy.stop()
        self.kill()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._proxy = self._temporary = None

    @property
    def url(self) -> str:
        """The address for clients, through the fault proxy."""
        return self._running_proxy.url

    @property
    def direct_url(self) -> str:
        """The address without the proxy: no faults, no log."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[str]:
        """The requests since the log was last cleared, see `FaultProxy.requests`."""
        return self._running_proxy.requests

    def forget_requests(self) -> None:
        """Clear the log of requests."""
        self._running_proxy.forget_requests()

    def fail(
        self,
        match: str,
        times: int | None = 1,
        *,
        status: int | None = None,
        status_after: int | None = None,
        reset: bool = False,
        reset_after: bool = False,
        delay: float | None = None,
        body_cut: int | None = None,
        reason: str = "backendError",
        message: str = "injected",
    ) -> None:
        """Make future requests fail, see `Fault`; ``times=None``: until `clear_faults`."""
        fault = Fault(match, times, status, status_after, reset, reset_after, delay, body_cut, reason, message)
        self._running_proxy.add_fault(fault)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._running_proxy.clear_faults()

    def kill(self) -> None:
        """End the process at once, as a crash does."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def restart(self) -> None:
        """Start again after `kill`, on the same port and with the same folder; empty without a folder."""
        self.kill()
        if self._temporary is None:
            raise RuntimeError("the server is not running: use it as a context manager")
        self._start(self._temporary)

    @property
    def _running_proxy(self) -> FaultProxy:
        if self._proxy is None:
            raise RuntimeError("the server is not running: use it as a context manager")
        return self._proxy

    def _start(self, temporary: Path) -> None:
        log = temporary / "log"
        command: list[str | Path] = [self.environment.python, "-m", f"{__package__}.{self.module}"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, f"--port={self._port}", f"--temporary={temporary}", *self._arguments],
                cwd=REPOSITORY,
                env={**self.environment.variables(), **self._variables},
                stdin=subprocess.PIPE,  # when it closes, the server exits
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        self._port = self._announced_port(self._process, log)

    def _announced_port(self, process: subprocess.Popen[bytes], log: Path) -> int:
        announcement = _first_line(process.stdout, START_TIMEOUT_SECONDS)
        if not announcement:
            self.kill()
            raise ServerFailed(f"{self.module} did not start; it printed:\n{log.read_text(errors='replace')}")
        return int(announcement)


class StorageServer(GoogleServer):
    """Google Cloud Storage; without a folder, objects are kept in memory."""

    environment = STORAGE
    module = "storage_server"

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__([] if folder is None else [f"--folder={folder.absolute()}"], {})

    def deny(self, bucket: str, permission: str = "storage.objects.create") -> None:
        """Refuse every request to a bucket with a missing permission, until `clear_faults`."""
        self.fail(
            rf"/b/{bucket}(/|\?|$)",
            times=None,
            status=403,
            reason="forbidden",
            message=f"service-account@example.iam.gserviceaccount.com does not have {permission} access to the "
            "Google Cloud Storage object. Permission denied on resource (or it may not exist).",
        )


class BigQueryServer(GoogleServer):
    """BigQuery, which reads ``gs://`` from a storage server; without a folder, tables are temporary."""

    environment = BIGQUERY
    module = "bigquery_server"

    def __init__(self, storage_url: str, project: str = PROJECT, folder: Path | None = None) -> None:
        self.project = project
        given = [] if folder is None else [f"--folder={folder.absolute()}"]
        super().__init__([f"--project={project}", *given], {"STORAGE_EMULATOR_HOST": storage_url})


def client_environment(storage: GoogleServer, bigquery: GoogleServer) -> dict[str, str]:
    """Return the environment variables that point Google's clients to the servers."""
    return {
        "STORAGE_EMULATOR_HOST": storage.url,
        "BIGQUERY_EMULATOR_HOST": bigquery.url,
        # Otherwise gcsfs asks over gRPC, at the same address, whether a bucket has folders, and hangs.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        # Otherwise a client without a project asks the network for one.
        "GOOGLE_CLOUD_PROJECT": getattr(bigquery, "project", PROJECT),
    }


def _first_line(pipe: IO[bytes] | None, timeout: float) -> str:
    """Return the first line that arrives in time, or an empty text if the other side closes."""
    assert pipe is not None
    deadline = time.monotonic() + timeout
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([pipe], [], [], max(deadline - time.monotonic(), 0))
        arrived = os.read(pipe.fileno(), 100) if readable else b""
        if not arrived:
            return ""
        line += arrived
    return line.decode().strip()
