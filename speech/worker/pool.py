"""The processes that do what takes processor time: a few, started when they are needed, each with one task at a time.

Each has a thread here that waits for it, whatever event loop asks. Where the service ends, they end.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, cast

from speech.base import SpeechError
from speech.worker.protocol import LAST, Answer, Failed, Stop, Task, read_answer, send

MAX_WAITING: Final = 32
"""Tasks that wait for a worker; one more is refused."""

RETRY_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 600.0
"""A worker that had nothing to do for so long ends, and gives its memory back."""

STOP_SECONDS: Final = 2.0
"""A task that nobody waits for any more may go on so long before its process is killed."""

MAX_AHEAD: Final = 8
"""Answers that wait to be taken; beyond that the worker waits."""

FOLDER: Final = Path(__file__).parents[2]
OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
KEPT: Final = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
"""What a worker gets of the service's environment: none of its secrets."""


class WorkerPool:
    """At most `parallel` processes, which use `threads` of the processor each."""

    def __init__(self, *, parallel: int, threads: int) -> None:
        self._parallel = parallel
        self._threads = threads
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        self._started = 0

    async def run(self, task: Task) -> AsyncGenerator[Answer]:
        """The answers as they come. Raises `SpeechError`; closing the generator stops the task."""
        job = _Job(task)
        self._submit(job)
        try:
            while (answer := await job.next()) is not None:
                if isinstance(answer, Failed):
                    raise SpeechError(answer.error, code=answer.code)
                yield answer
        finally:
            job.abandon()
            with self._lock:
                self._pending -= 1

    def close(self) -> None:
        """Lets the processes end as soon as they have nothing to do."""
        with self._lock:
            for _ in range(self._started):
                self._jobs.put(None)
            self._started = 0

    def _submit(self, job: "_Job") -> None:
        with self._lock:
            if self._pending >= self._parallel + MAX_WAITING:
                raise SpeechError(
                    f"{self._parallel} are at work and {MAX_WAITING} requests wait already",
                    code="busy",
                    retryable=True,
                    retry_after=RETRY_SECONDS,
                )
            self._pending += 1
            if self._started < min(self._parallel, self._pending):
                self._started += 1
                threading.Thread(target=self._work, name="speech-worker", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        process: _Process | None = None
        while True:
            try:
                job = self._jobs.get(timeout=IDLE_SECONDS if process else None)
            except Empty:
                _end(process)
                process = None
                continue
            if job is None:
                _end(process)
                return
            if not job.abandoned:
                process = process if process and process.alive else _Process(self._threads)
                job.work(process)


class _Process:
    """One worker."""

    def __init__(self, threads: int) -> None:
        count = str(threads)
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "speech.worker", count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=FOLDER,
            env={**environment, **OFFLINE, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count},
            start_new_session=True,
        )
        self._sending = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def send(self, order: Task | Stop) -> None:
        with self._sending, contextlib.suppress(OSError):
            send(cast("Any", self._popen.stdin), order)

    def read(self) -> Answer | None:
        """The next answer, or None where the process has died."""
        return read_answer(cast("Any", self._popen.stdout))

    def kill(self) -> None:
        self._popen.kill()

    def end(self) -> None:
        """Closes its input, at which it ends; kills it where it does not."""
        with contextlib.suppress(OSError):
            cast("Any", self._popen.stdin).close()
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        cast("Any", self._popen.stdout).close()


def _end(process: _Process | None) -> None:
    if process:
        process.end()


class _Job:
    """A task, and its answers on their way from a worker's thread to the event loop that waits for them."""

    def __init__(self, task: Task) -> None:
        self.abandoned = False
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._answers: asyncio.Queue[Answer | None] = asyncio.Queue()
        self._room = threading.Semaphore(MAX_AHEAD)
        self._lock = threading.Lock()
        self._process: _Process | None = None

    async def next(self) -> Answer | None:
        answer = await self._answers.get()
        self._room.release()
        return answer

    def abandon(self) -> None:
        """Nobody waits any more: the worker is told, and killed where it does not listen."""
        with self._lock:  # held until the process is told: it may have another task right after
            self.abandoned = True
            at_work = self._process is not None
            if self._process:
                self._process.send(Stop())
        self._room.release(MAX_AHEAD)
        if at_work:
            timer = threading.Timer(STOP_SECONDS, self._kill)
            timer.daemon = True
            timer.start()

    def work(self, process: _Process) -> None:
        """Has the process do it, in the thread that waits for it."""
        with self._lock:
            if self.abandoned:
                return
            self._process = process
        process.send(self._task)
        while (answer := process.read()) and not isinstance(answer, LAST):
            self._deliver(answer)
        with self._lock:  # before anybody can take the last answer and leave: there is nothing to stop any more
            self._process = None
        if answer is None:
            process.end()
        self._deliver(answer or Failed(error="the worker died at it", code="provider_unavailable"))
        self._deliver(None)

    def _kill(self) -> None:
        with self._lock:
            if self._process:
                self._process.kill()

    def _deliver(self, answer: Answer | None) -> None:
        if not self.abandoned:
            self._room.acquire()
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._answers.put_nowait, answer)
