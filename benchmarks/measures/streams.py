"""The memory of an open stream, and the time to the first token of each of many."""

import asyncio
from typing import ClassVar

from benchmarks.harness import machine
from benchmarks.harness.arena import Arena
from benchmarks.harness.contestants import FASTAPI, SERVICE, Contestant
from benchmarks.harness.load import Load, Outcome, play
from benchmarks.measures.measure import Figure, Goal, Measure, Sample, Unmeasurable, first_tokens


class OpenStreams(Measure):
    """1,000 streams open at once, at 2 tokens a second, in a new process each round."""

    name = "streams"
    contestants = (SERVICE, FASTAPI)
    figures = (
        Figure("stream_kb", "1,000 open streams: KB each", 1),
        Figure("first_p50_ms", "their first tokens: ms, p50", 1),
        Figure("first_p99_ms", "the same, p99", 1),
    )
    goals = (
        Goal(label="1,000 open streams: KB each", key="stream_kb", bound=40),
        Goal(label="1,000 open streams: ms to the first token, p99", key="first_p99_ms", bound=40),
    )
    rounds = (3, 1)

    streams: ClassVar[int] = 1_000
    opening_seconds: ClassVar[int] = 10
    open_seconds: ClassVar[int] = 5

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        check_descriptors(self.streams)
        tokens = 2 * (self.opening_seconds + self.open_seconds)
        load = Load(tokens=tokens, rate=2, lanes=self.streams, streams=self.streams, spread=self.opening_seconds)
        async with arena.fresh(contestant) as running:
            before = running.process.memory_kb()
            peak = before

            async def watch(outcome: Outcome) -> None:
                nonlocal peak
                await asyncio.sleep(self.opening_seconds + 1)
                # Memory counts only while all streams are open.
                while outcome.open == self.streams:
                    peak = max(peak, running.process.memory_kb())
                    await asyncio.sleep(0.5)

            outcome = await play(load, running.target, watch)
        if peak == before:
            raise Unmeasurable(f"{contestant.title} did not have {self.streams} streams open at once.")
        return {"stream_kb": (peak - before) / self.streams, **first_tokens(outcome)}


def check_descriptors(streams: int) -> None:
    """Raise `Unmeasurable` if a process may not have enough open files for the streams."""
    # A server holds two sockets for each stream: its client's and the upstream's.
    needed = 2 * streams + 500
    if (allowed := machine.descriptors(needed)) < needed:
        raise Unmeasurable(f"It needs {needed} open files a process, and {allowed} are allowed (ulimit -Hn).")
