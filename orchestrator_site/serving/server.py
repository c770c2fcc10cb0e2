"""uvicorn with its own startup and shutdown: models load before the first request, and the exit status is 0.

At shutdown, runs and calls of tools end before their connections do.
"""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import uvicorn

from chat import conf, service_registry
from orchestrator_site import conf as site_conf
from orchestrator_site.http.socket_protocol import SocketProtocol
from orchestrator_site.http.uvicorn_protocol import HttpProtocol
from orchestrator_site.serving import reload
from telemetry.worker_totals import worker_totals
from tools.mcp_server.calls.exchange import end_all

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS: Final = 5
"""Seconds that connections may take to close after every run has ended."""

SAME_SIGNAL_SECONDS: Final = 1.0
"""Within these seconds another signal is the same one: a terminal and each launcher pass it on."""

GARBAGE: Final = (50_000, 20, 50)
"""Thresholds of the garbage collector. With Python's own, its pauses dominate the slowest first tokens."""


class Server(uvicorn.Server):
    """Stops in order at the first SIGTERM or SIGINT, and at once at a later one.

    `ready` is called when requests are accepted. The folder `numbers` is shared with other workers. At SIGHUP it
    retires: it accepts no more connections, and stops when its runs have ended. `retired` is then true, unless a signal
    to stop came meanwhile.
    """

    def __init__(self, ready: Callable[[], None], numbers: Path | None = None) -> None:
        limits = site_conf.connection_limits()
        config = uvicorn.Config(
            "orchestrator_site.asgi:application",
            loop="uvloop",
            http=HttpProtocol,
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]  # it passes it on to the loop
            timeout_graceful_shutdown=GRACE_SECONDS,
            ws=SocketProtocol,
            ws_max_size=site_conf.max_body_bytes(),
            ws_per_message_deflate=False,
        )
        super().__init__(config)
        self._ready = ready
        self._numbers = numbers
        self._stopping: asyncio.Task[None] | None = None
        self._retiring: asyncio.Task[None] | None = None
        self._signalled = 0.0
        self.retired = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await service_registry.current().warm_up()
        await super().startup(sockets)
        if self._numbers is not None:
            worker_totals.share(self._numbers)
        # Objects of the start live as long as the process: frozen, no later collection looks at them.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        if reload.is_possible():
            loop.add_signal_handler(reload.SIGNAL, self._on_hangup)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        loop = asyncio.get_running_loop()
        if self._stopping is None:
            self._signalled = loop.time()
            self._stopping = loop.create_task(self._stop())
        elif self.retired:
            self._signalled = loop.time()
            self.retired = False
        elif loop.time() - self._signalled > SAME_SIGNAL_SECONDS:
            self.force_exit = True

    def _on_hangup(self) -> None:
        if self._stopping is None and (self._retiring is None or self._retiring.done()):
            self._retiring = asyncio.get_running_loop().create_task(self._retire())

    async def _retire(self) -> None:
        # A worker's parent has asked `check` before it started the successors.
        if self._numbers is None and not await asyncio.to_thread(reload.passes_check):
            return
        if self._stopping is not None:
            return
        self.retired = True
        for listener in self.servers:
            listener.close()
        # Connections close behind the answer that they are sending, so the next request reaches a successor.
        for connection in list(self.server_state.connections):
            if isinstance(connection, HttpProtocol):
                connection.shutdown()
        self._stopping = asyncio.get_running_loop().create_task(self._stop())

    async def _stop(self) -> None:
        # Runs and calls end first, so that their clients still receive the terminal events and the responses.
        drain = conf.drain_seconds()
        await asyncio.gather(service_registry.close(drain=drain), end_all(drain=drain))
        worker_totals.flush()
        self.should_exit = True
