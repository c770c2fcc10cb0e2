"""The runs that this process owns.

ShuttingDown          the process accepts no new runs
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

COUNT_MARGIN: Final = 500
"""Free places below which the runs of all processes are counted exactly before another begins."""

LINGER_SECONDS: Final = 60.0
"""Seconds for which an ended run can still be read if it is not stored."""


class ShuttingDown(Exception):
    """The process accepts no new runs."""


class RunManager:
    """Starts runs, finds them, and ends them with the process.

    `stored` means that ended runs are in the database. `elsewhere` is the number of other processes' runs, about a
    second old.
    """

    def __init__(self, journal: Journal, timeouts: StreamTimeouts, *, max_runs: int, stored: bool) -> None:
        self._journal = journal
        self._timeouts = timeouts
        self._max_runs = max_runs
        self._stored = stored
        self._runs: dict[UUID, LiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._admitted = 0
        self._closing = False
        self.elsewhere = 0

    @property
    def active(self) -> int:
        return len(self._tasks)

    @property
    def is_closing(self) -> bool:
        """Return whether new runs are refused because the process ends."""
        return self._closing

    @property
    def max_together(self) -> int | None:
        """The maximum number of runs of all processes, or None while it is far away."""
        # An exact count serialises the starts of all processes, so it is made only near the maximum.
        about = self.active + self._admitted + self.elsewhere
        return self._max_runs if self._stored and about >= self._max_runs - COUNT_MARGIN else None

    @contextlib.contextmanager
    def admission(self) -> Iterator[None]:
        """Hold a place for one more run while it is written. Raise `TooManyRuns` or `ShuttingDown`."""
        if self._closing:
            raise ShuttingDown
        if self.active + self._admitted >= self._max_runs:
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
        task.add_done_callback(partial(self._on_end, run))
        return run

    def find(self, run_id: UUID, owner: str) -> LiveRun | None:
        """Return the run if this process has it and it belongs to `owner`."""
        run = self._runs.get(run_id)
        return run if run is not None and run.spec.owner == owner else None

    def has(self, run_id: UUID) -> bool:
        """Return whether this process has the run."""
        return run_id in self._runs

    def cancel(self, run_id: UUID) -> None:
        """Cancel the run if this process has it."""
        if run_id in self._runs:
            self._runs[run_id].stop("cancelled")

    async def close(self, drain: float = 0.0) -> None:
        """Refuse new runs, and interrupt the open ones after `drain` seconds.

        Return when their ends are stored and sent.
        """
        self._closing = True
        # `asyncio.wait` rejects an empty set.
        if self._tasks and drain:
            await asyncio.wait(self._tasks, timeout=drain)
        for run in self._runs.values():
            run.stop("shutting_down")
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _on_end(self, run: LiveRun, task: "asyncio.Task[None]") -> None:
        def forget() -> None:
            # A run that waited for an approval may have resumed here under the same id.
            if self._runs.get(run.spec.run_id) is run:
                del self._runs[run.spec.run_id]

        self._tasks.discard(task)
        metrics.runs_active.add(-1)
        if self._stored:
            forget()
        else:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, forget)
        if not task.cancelled():
            # Raise a fault of the run's own task here, where the event loop logs it.
            task.result()
