"""A server for tests and for the command line: its own thread, a real socket, stopped within a moment."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from types import TracebackType
from typing import Any

import uvicorn

from .application import create_application
from .faults import Fault
from .service import GraphService
from .settings import EmulatorSettings
from .tokens import SYSTEM_USER_TOKEN, USER_TOKEN
from .truth import Bound, Truth, truth
from .world import World

DATE_HEADER_SECONDS = 1.0
START_TIMEOUT_SECONDS = 30.0


class EmulatorServer:
    """One emulated Graph API on a loopback port; use it as a context manager.

    ``with EmulatorServer(world) as server: requests.get(server.url + "/v26.0/me", …)``
    """

    user_token = USER_TOKEN
    system_user_token = SYSTEM_USER_TOKEN

    def __init__(
        self,
        world: World,
        settings: EmulatorSettings | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.world = world
        self.settings = settings or EmulatorSettings()
        self.service = GraphService(world, self.settings)
        self.app_secret = self.settings.app_secret
        self._address = (host, port)
        self._server: _StoppableServer | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def start(self) -> EmulatorServer:
        """Accept connections; raises OSError when the port is taken."""
        listener = _listen(self._address)
        host, port = listener.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        config = uvicorn.Config(
            create_application(self.service),
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
        )
        self._server = _StoppableServer(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name=f"emulator-{port}", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(START_TIMEOUT_SECONDS):
            raise RuntimeError("the emulator did not start")
        return self

    def stop(self) -> None:
        """Drop all connections and free the port."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> EmulatorServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def add_fault(self, fault: Fault) -> None:
        """Add a trouble to come."""
        with self.world.lock:
            self.service.faults.add(fault)

    def clear_faults(self) -> None:
        """Forget all troubles and the blocks they caused."""
        with self.world.lock:
            self.service.faults.clear()
            self.service.limiter.clear_blocks()

    def truth(
        self,
        page_id: str = "100",
        platform: str = "MESSENGER",
        since: Bound = None,
        until: Bound = None,
        folder: str = "inbox",
    ) -> Truth:
        """Return what a complete walk of one Page and platform finds now."""
        return truth(self.world, page_id, platform, since, until, folder)

    def statistics(self) -> dict[str, Any]:
        """Return the counters, the same dict as over HTTP."""
        return self.service.report()

    @property
    def app_token(self) -> str:
        """The app's own token: its id and its secret."""
        return self.service.tokens.app_token

    def describe_token(self, token: str, **description: Any) -> None:
        """Change what a token may do and when it ends, the same properties as over HTTP."""
        with self.world.lock:
            self.service.tokens.describe(token, description)

    def page_token(self, page_id: str = "100") -> str:
        """Return the current token of a Page."""
        return self.service.tokens.page_tokens[page_id]


class _StoppableServer(uvicorn.Server):
    """A uvicorn server that waits for a word from another thread instead of looking around for one."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None

    async def main_loop(self) -> None:
        """Serve until stopped; only the Date header needs a look at the clock."""
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        await self.on_tick(0)
        self.ready.set()
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), DATE_HEADER_SECONDS)
            await self.on_tick(0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drop all connections at once: whoever stops an emulator waits for no answer."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            transport: Any = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()
        await self.lifespan.shutdown()

    def stop(self) -> None:
        """Stop serving; may be called from any thread."""
        if self._loop is not None and self._stopped is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)


def _listen(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener
