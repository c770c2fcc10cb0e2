"""The runs that this process owns.

ShuttingDown          the process takes no new runs
"""

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Final
from uuid import UUID

from chat.runs.live.run import LiveRun
from chat.runs.live.spec import RunSpec
from chat.runs.live.subscribers import StreamTimeouts
from chat.runs.log.journal import Journal
from chat.runs.start.begin import TooManyRuns
from telemetry import metrics

COUNTED: Final = 500
"""So many places from the last, the runs of all processes are counted before another begins."""

LINGER_SECONDS: Final = 60.0
"""How long an ended run that is stored nowhere can still be read."""


class ShuttingDown(Exception):
    """The process takes no new runs."""


class RunManager:
    """Starts runs, finds them, and ends them with the process. `stored` says that ended runs are in the database."""

    def __init__(self, journal: Journal, timeouts: StreamTimeouts, *, most: int, stored: bool) -> None:
        self._journal = journal
        self._timeouts = timeouts
        self._most = most
        self._stored = stored
        self._runs: dict[UUID, LiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._admitted = 0
        self._closing = False
        self.elsewhere = 0
        """Runs of other processes, about a second ago."""

    @property
    def active(self) -> int:
        return len(self._tasks)

    @property
    def max_together(self) -> int | None:
        """How many runs all processes may have, where that is near; None where nobody needs to count."""
        about = self.active + self._admitted + self.elsewhere
        return self._most if self._stored and about >= self._most - COUNTED else None

    @contextlib.contextmanager
    def admission(self) -> Iterator[None]:
        """A place for one more run, taken before anything is written. Raises `TooManyRuns` or `ShuttingDown`."""
        if self._closing:
            raise ShuttingDown
        if self.active + self._admitted >= self._most:
            raise TooManyRuns
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    def start(self, spec: RunSpec) -> LiveRun:
        run = self._runs[spec.run_id] = LiveRun(spec, self._journal, self._timeouts)
        task = asyncio.get_running_loop().create_task(run.live())
        self._tasks.add(task)
        metrics.runs_active.add(1)
        if spec.last == 0:
            metrics.runs_started.add()
        task.add_done_callback(partial(self._ended, run))
        return run

    def find(self, run_id: UUID, owner: str) -> LiveRun | None:
        """The run, if it lives here (or has just ended, and is stored nowhere) and belongs to `owner`."""
        run = self._runs.get(run_id)
        return run if run is not None and run.spec.owner == owner else None

    def has(self, run_id: UUID) -> bool:
        """Whether the run lives here."""
        return run_id in self._runs

    def cancel(self, run_id: UUID) -> None:
        """Cancels the run, if it lives here."""
        if run_id in self._runs:
            self._runs[run_id].stop("cancelled")

    async def close(self, drain: float = 0.0) -> None:
        """Takes no new runs, and lets the open ones go on for `drain` seconds; then stops them as interrupted.

        Returns when their ends are kept and told.
        """
        self._closing = True
        if self._tasks and drain:
            await asyncio.wait(self._tasks, timeout=drain)
        for run in self._runs.values():
            run.stop("shutting_down")
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, run: LiveRun, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        metrics.runs_active.add(-1)
        forget = partial(self._forget, run)
        if self._stored:
            forget()
        else:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, forget)
        if not task.cancelled():
            task.result()

    def _forget(self, run: LiveRun) -> None:
        """Lets go of the run, unless it lives here again."""
        if self._runs.get(run.spec.run_id) is run:
            del self._runs[run.spec.run_id]
