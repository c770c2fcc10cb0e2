"""The pool of worker processes for work that needs the processor. Each runs one task at a time.

Processes are started on demand. A thread of the service waits for each, so any event loop can use the pool.
"""

import asyncio
import contextlib
import logging
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
from web.plurals import noun_for

logger = logging.getLogger(__name__)

# Tasks that wait for a worker. Another one is rejected.
MAX_WAITING: Final = 32

RETRY_SECONDS: Final = 5.0
# A worker that is idle for this long ends, which frees the memory of its models.
IDLE_SECONDS: Final = 600.0

# An abandoned task may continue for this long before its process is killed.
STOP_SECONDS: Final = 2.0

# Answers that the client has not taken yet. Beyond this number the worker waits.
MAX_AHEAD: Final = 8

FOLDER: Final = Path(__file__).parents[2]
OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
# The only variables of the environment that a worker receives, so that it has none of the service's secrets.
INHERITED: Final = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")


class WorkerPool:
    """A pool of at most `parallel` processes with `threads` threads each."""

    def __init__(self, *, parallel: int, threads: int) -> None:
        self._parallel = parallel
        self._threads = threads
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        self._started = 0

    async def run(self, task: Task) -> AsyncGenerator[Answer]:
        """Yield the answers as they arrive. Raises `SpeechError`. Closing the generator stops the task."""
        job = _Job(task)
        with self._lock:
            if self._pending >= self._parallel + MAX_WAITING:
                raise SpeechError(
                    f"{noun_for(self._parallel, 'The worker is', 'All workers are')} busy, and "
                    f"{MAX_WAITING} requests wait already. Retry in {RETRY_SECONDS:g} s",
                    code="busy",
                    retryable=True,
                    retry_after=RETRY_SECONDS,
                )
            self._pending += 1
            if self._started < min(self._parallel, self._pending):
                self._started += 1
                threading.Thread(target=self._work, name="speech-worker", daemon=True).start()
        self._jobs.put(job)
        try:
            while (answer := await job.next()) is not None:
                if isinstance(answer, Failed):
                    if answer.fault:
                        logger.error("speech.worker_fault", extra={"task": type(task).__name__, "fault": answer.fault})
                    raise SpeechError(answer.error, code=answer.code)
                yield answer
        finally:
            job.abandon()
            with self._lock:
                self._pending -= 1

    def close(self) -> None:
        """End each process when it has finished its task."""
        with self._lock:
            for _ in range(self._started):
                self._jobs.put(None)
            self._started = 0

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
    """A worker process."""

    def __init__(self, threads: int) -> None:
        count = str(threads)
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "speech.worker", count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=FOLDER,
            env={**environment, **OFFLINE, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count},
            # Ctrl+C at the terminal then does not reach the worker, which ends when its input is closed.
            start_new_session=True,
        )
        self._sending = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def send(self, command: Task | Stop) -> None:
        # A process that has died is noticed by its reader, so the failed write needs no report.
        with self._sending, contextlib.suppress(OSError):
            send(cast("Any", self._popen.stdin), command)

    def read(self) -> Answer | None:
        """Return the next answer, or None if the process has died."""
        return read_answer(cast("Any", self._popen.stdout))

    def kill(self) -> None:
        self._popen.kill()

    def end(self) -> None:
        """Close its input, which makes it end, and kill it if it does not."""
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
    """A task and the queue of its answers, from the thread of a worker to the event loop of the client."""

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
        """Stop the task, and kill its worker if it does not stop in time."""
        # Held until the stop is sent. Otherwise it could reach the next task of the same process.
        with self._lock:
            self.abandoned = True
            at_work = self._process is not None
            if self._process:
                self._process.send(Stop())
        # Wakes the thread of the worker if it waits for room in the queue.
        self._room.release(MAX_AHEAD)
        if at_work:
            timer = threading.Timer(STOP_SECONDS, self._kill)
            timer.daemon = True
            timer.start()

    def work(self, process: _Process) -> None:
        """Run the task in a process, in the thread that waits for it."""
        with self._lock:
            if self.abandoned:
                return
            self._process = process
        process.send(self._task)
        while (answer := process.read()) and not isinstance(answer, LAST):
            self._deliver(answer)
        # Before the last answer is delivered. A client that leaves after it must not stop the next task.
        with self._lock:
            self._process = None
        if answer is None:
            process.end()
        self._deliver(answer or Failed(error="the worker process died during the task", code="provider_unavailable"))
        self._deliver(None)

    def _kill(self) -> None:
        with self._lock:
            if self._process:
                self._process.kill()

    def _deliver(self, answer: Answer | None) -> None:
        if not self.abandoned:
            self._room.acquire()
            # The event loop may be closed already, and then no client waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answers.put_nowait, answer)
