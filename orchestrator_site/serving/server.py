"""uvicorn, with a beginning and an end of our own: models are loaded before the first request, and runs are closed and
told before connections are; the exit status is 0.
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

from access import conf as access_conf
from chat import conf, service_registry
from orchestrator_site.http.uvicorn_protocol import HttpProtocol
from telemetry.worker_totals import worker_totals

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS: Final = 5
"""How long connections may take to close once every run has ended."""

IDLE_SECONDS: Final = 75
"""How long a connection is kept without a request: longer than a proxy keeps one (nginx: 60 s), which could else use it
just as it is closed, and never know whether that was read.
"""

SAME_SIGNAL_SECONDS: Final = 1.0
"""Within this time a further signal is the same one: a terminal and each launcher in between pass it on."""

GARBAGE: Final = (50_000, 20, 50)
"""Thresholds of the collector. With Python's own, its pauses are the largest part of the slowest first tokens."""


class Server(uvicorn.Server):
    """Stops in order at the first SIGTERM or SIGINT, and at once when it is told again later.

    `ready` is called when requests are taken. The folder `numbers` is shared with other workers.
    """

    def __init__(self, ready: Callable[[], None], numbers: Path | None = None) -> None:
        config = uvicorn.Config(
            "orchestrator_site.asgi:application",
            loop="uvloop",
            http=HttpProtocol,
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ws_max_size=access_conf.max_body_bytes(),
        )
        super().__init__(config)
        self._ready = ready
        self._numbers = numbers
        self._stopping: asyncio.Task[None] | None = None
        self._told = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await service_registry.current().warm_up()
        await super().startup(sockets)
        if self._numbers is not None:
            worker_totals.share(self._numbers)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        loop = asyncio.get_running_loop()
        if self._stopping is None:
            self._told = loop.time()
            self._stopping = loop.create_task(self._stop())
        elif loop.time() - self._told > SAME_SIGNAL_SECONDS:
            self.force_exit = True

    async def _stop(self) -> None:
        await service_registry.close(drain=conf.drain_seconds())
        self.should_exit = True
