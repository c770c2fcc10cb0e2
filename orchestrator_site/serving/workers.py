"""Processes that serve one listening socket: started, watched, replaced when they die, and stopped together."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Final, cast

from orchestrator_site.serving import reload
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
    def pid(self) -> int:
        return self._process.pid

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


class RetiringWorker:
    """A worker from before a reload. It accepts no more connections, and ends when its streams have ended."""

    def __init__(self, pid: int, numbers: Path) -> None:
        self.pid = pid
        self._numbers = numbers
        self._status: int | None = None

    @property
    def is_alive(self) -> bool:
        if self._status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if ended else None
        return self._status is None

    def retire(self) -> None:
        self._signal(reload.SIGNAL)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def end(self) -> int:
        """Return its exit status, once it has ended."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        retire(self._numbers, self.pid)
        return self._status

    def _signal(self, number: signal.Signals) -> None:
        # Its process id belongs to it until it is waited for.
        if self.is_alive:
            os.kill(self.pid, number)


class Workers:
    """`count` workers on one socket. `ready` is called when all accept requests.

    After a reload, `numbers` is the folder of metrics, and `retiring` are the process ids of the workers before.
    """

    def __init__(
        self,
        listening: socket.socket,
        count: int,
        ready: Callable[[], None],
        *,
        numbers: Path | None = None,
        retiring: Sequence[int] = (),
    ) -> None:
        self._listening = listening
        self._count = count
        self._ready = ready
        self._given = numbers
        self._workers: list[Worker] = []
        self._retiring = [RetiringWorker(pid, numbers) for pid in retiring] if numbers else []
        self._stopping = False
        self._reloading = False

    def run(self) -> int:
        """Return the exit status: 0 after a signal, 1 if the workers keep dying."""
        handlers: dict[signal.Signals, Callable[..., None]] = dict.fromkeys(SIGNALS, self._stop)
        if reload.is_possible():
            handlers[reload.SIGNAL] = self._ask_reload
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        numbers = self._given or Path(tempfile.mkdtemp(prefix="orchestrator-numbers-"))
        try:
            self._workers = [Worker(self._listening, numbers) for _ in range(self._count)]
            if all(worker.becomes_ready() for worker in self._workers):
                self._ready()
                for old in self._retiring:
                    old.retire()
                self._watch(numbers)
            failed = not self._stopping
            self._stop()
            return max([*(worker.end() for worker in self._all), int(failed)])
        finally:
            shutil.rmtree(numbers, ignore_errors=True)
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def _all(self) -> list[Worker | RetiringWorker]:
        return [*self._workers, *self._retiring]

    def _watch(self, numbers: Path) -> None:
        """Replace workers that die, and reload when asked, until a signal or too many early deaths."""
        short_lives = 0
        while not self._stopping and short_lives < MAX_SHORT_LIVES:
            time.sleep(POLL_SECONDS)
            for place, worker in enumerate(self._workers):
                if not worker.is_alive and not self._stopping:
                    short_lives = 0 if worker.lived_long else short_lives + 1
                    logger.error("worker.died", extra={"status": worker.end()})
                    self._workers[place] = Worker(self._listening, numbers)
            for old in [old for old in self._retiring if not old.is_alive]:
                old.end()
                self._retiring.remove(old)
            if self._reloading:
                self._reloading = False
                if reload.passes_check() and not self._stopping:
                    reload.execute(self._listening, numbers, [worker.pid for worker in self._all])

    def _ask_reload(self, *_: Any) -> None:
        self._reloading = True

    def _stop(self, *_: Any) -> None:
        self._stopping = True
        for worker in self._all:
            if worker.is_alive:
                worker.stop()
