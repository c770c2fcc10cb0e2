"""Processes that serve one listening socket: started, watched, replaced when they die, and stopped together."""

import logging
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, cast

from telemetry.worker_totals import retire

logger = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
READY: Final = b"ready\n"
POLL_SECONDS: Final = 0.1
SHORT_LIFE_SECONDS: Final = 5.0
MAX_SHORT_LIVES: Final = 3
"""Early deaths in a row after which the service gives up."""


class Worker:
    """One process, which shares its metrics in the folder `numbers`."""

    def __init__(self, listening: socket.socket, numbers: Path) -> None:
        handle = listening.fileno()
        # The parent has reported the system checks.
        own = ["--skip-checks", "--worker", str(handle), "--numbers", str(numbers)]
        command = [sys.executable, sys.argv[0], "serve", *own]
        self._numbers = numbers
        self._process = subprocess.Popen(command, pass_fds=[handle], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self._began = time.monotonic()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def lived_long(self) -> bool:
        return time.monotonic() - self._began > SHORT_LIFE_SECONDS

    def becomes_ready(self) -> bool:
        """Wait until it accepts requests. Return False if it ended before."""
        return cast("IO[bytes]", self._process.stdout).readline() == READY

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Return its exit status, once it has ended."""
        status = self._process.wait()
        retire(self._numbers, self._process.pid)
        return status


class Workers:
    """`count` workers on one socket. `ready` is called when all accept requests."""

    def __init__(self, listening: socket.socket, count: int, ready: Callable[[], None]) -> None:
        self._listening = listening
        self._count = count
        self._ready = ready
        self._workers: list[Worker] = []
        self._stopping = False

    def run(self) -> int:
        """Return the exit status: 0 after a signal, 1 if the workers keep dying."""
        before = {number: signal.signal(number, self._stop) for number in SIGNALS}
        try:
            with tempfile.TemporaryDirectory(prefix="orchestrator-numbers-") as numbers:
                folder = Path(numbers)
                self._workers = [Worker(self._listening, folder) for _ in range(self._count)]
                if all(worker.becomes_ready() for worker in self._workers):
                    self._ready()
                    self._watch(folder)
                failed = not self._stopping
                self._stop()
                return max([*(worker.end() for worker in self._workers), int(failed)])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _watch(self, numbers: Path) -> None:
        """Replace workers that die, until a signal or too many early deaths."""
        short_lives = 0
        while not self._stopping and short_lives < MAX_SHORT_LIVES:
            time.sleep(POLL_SECONDS)
            for place, worker in enumerate(self._workers):
                if not worker.is_alive and not self._stopping:
                    short_lives = 0 if worker.lived_long else short_lives + 1
                    logger.error("worker.died", extra={"status": worker.end()})
                    self._workers[place] = Worker(self._listening, numbers)

    def _stop(self, *_: Any) -> None:
        self._stopping = True
        for worker in self._workers:
            if worker.is_alive:
                worker.stop()
