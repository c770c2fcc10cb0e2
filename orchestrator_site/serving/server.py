"""uvicorn with its own startup and shutdown: models load before the first request, and the exit status is 0.

At shutdown, runs end before their connections do.
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
from telemetry.worker_totals import worker_totals

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS: Final = 5
"""Seconds that connections may take to close after every run has ended."""

SAME_SIGNAL_SECONDS: Final = 1.0
"""Within these seconds another signal is the same one: a terminal and each launcher pass it on."""

GARBAGE: Final = (50_000, 20, 50)
"""Thresholds of the garbage collector. With Python's own, its pauses dominate the slowest first tokens."""


class Server(uvicorn.Server):
    """Stops in order at the first SIGTERM or SIGINT, and at once at a later one.

    `ready` is called when requests are accepted. The folder `numbers` is shared with other workers.
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
        self._signalled = 0.0

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
        elif loop.time() - self._signalled > SAME_SIGNAL_SECONDS:
            self.force_exit = True

    async def _stop(self) -> None:
        # Runs end first, so that their subscribers still receive the terminal events.
        await service_registry.close(drain=conf.drain_seconds())
        self.should_exit = True
