"""The end of a thousand streams whose readers leave at the same moment."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from benchmarks.harness.arena import Arena, Running
from benchmarks.harness.contestants import COUNTED, TASKS, Contestant
from benchmarks.harness.crowd import gathered
from benchmarks.harness.http import get
from benchmarks.harness.load import StreamBroken, percentile
from benchmarks.harness.script import OBSERVED
from benchmarks.measures.measure import Figure, Goal, Measure, Sample
from benchmarks.measures.streams import check_descriptors

MAX_SECONDS: Final = 30
"""Seconds to wait for the end of a storm."""

LOOK_SECONDS: Final = 0.1
QUIET_SECONDS: Final = 1.0

Times = Mapping[str, float]
"""`time.monotonic()`, by the streams' nonces."""


@dataclass(frozen=True, slots=True)
class Held:
    """Resources of a server: active runs, tasks of its event loop, and open files."""

    runs: int
    tasks: int
    files: int

    @classmethod
    async def by(cls, running: Running) -> "Held":
        port = running.place.port
        health = await get(port, "/healthz")
        return cls(health["active_runs"], await get(port, TASKS), running.process.files())

    def is_within(self, other: "Held") -> bool:
        return self.runs <= other.runs and self.tasks <= other.tasks and self.files <= other.files


class Storm(Measure):
    """1,000 open streams without a grace period: all clients leave at once, in a new process each round."""

    name = "storm"
    contestants = (COUNTED,)
    figures = (
        Figure("closed_p50_ms", "1,000 clients leave at once: ms until the upstream's connection is closed, p50", 0),
        Figure("closed_p99_ms", "the same, p99", 0),
        Figure("back_ms", "ms until no run, task or open file is left of them", 0),
        Figure("tasks_left", "tasks more than before", 0),
        Figure("files_left", "open files more than before", 0),
    )
    goals = (
        Goal(label="1,000 clients leave: ms until the upstream is closed, p99", key="closed_p99_ms", bound=1_000),
        Goal(label="1,000 clients leave: tasks more than before", key="tasks_left", bound=0),
        Goal(label="1,000 clients leave: open files more than before", key="files_left", bound=0),
    )
    rounds = (3, 1)

    streams: ClassVar[int] = 1_000
    # After so many streams everything that a server opens once is open, such as its database connections. Without a
    # rehearsal these would count as files that the storm left behind.
    rehearsing: ClassVar[int] = 50

    rate: ClassVar[float] = 2
    opening_seconds: ClassVar[int] = 5

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        check_descriptors(self.streams)
        async with arena.fresh(contestant) as running:
            await self._broken(arena, running, self.rehearsing)
            await asyncio.sleep(QUIET_SECONDS)
            before = await Held.by(running)
            left, closed = await self._broken(arena, running, self.streams)
            after = await _back(running, before)
            back = time.monotonic() - max(left.values())
        seconds = [closed[nonce] - left[nonce] for nonce in left]
        return {
            "closed_p50_ms": percentile(seconds, 50) * 1_000,
            "closed_p99_ms": percentile(seconds, 99) * 1_000,
            "back_ms": back * 1_000,
            "tasks_left": after.tasks - before.tasks,
            "files_left": after.files - before.files,
        }

    async def _broken(self, arena: Arena, running: Running, streams: int) -> tuple[Times, Times]:
        """Return when each client left, and when the upstream saw its connection closed.

        Raise `StreamBroken` if one stays open.
        """
        spread = self.opening_seconds * streams / self.streams
        async with gathered(running.target, streams, rate=self.rate, spread=spread) as crowd:
            left = crowd.leave()
        deadline = time.monotonic() + MAX_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            # The upstream remembers earlier storms too, so its list is compared with the clients of this one.
            closed: Times = (await get(arena.upstream, OBSERVED))["broken"]
            if closed.keys() >= left.keys():
                return left, closed
        still_open = len(left.keys() - closed.keys())
        raise StreamBroken(f"{still_open} of {len(left)} are still open although their clients left.")


async def _back(running: Running, before: Held) -> Held:
    """Return the server's resources once they are down to those before, or after the longest wait."""
    deadline = time.monotonic() + MAX_SECONDS
    while not (after := await Held.by(running)).is_within(before) and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
    return after
