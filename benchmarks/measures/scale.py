"""The cost of a token and a turn with more streams, and with more stored sessions."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Final

from benchmarks.harness import database
from benchmarks.harness.arena import Arena, Running
from benchmarks.harness.contestants import SERVICE
from benchmarks.harness.http import get
from benchmarks.harness.load import Load, Outcome, play
from benchmarks.harness.script import OBSERVED
from benchmarks.measures.measure import Figure, Measure, Round, Unmeasurable, cost
from benchmarks.measures.streams import check_descriptors

# After many sessions were inserted, this load brings the database's pages into memory.
WARM_UP: Final = Load(tokens=20, lanes=4, streams=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A line of the table: streams at once, tokens a second of each, and stored sessions."""

    streams: int
    rate: int = 50
    sessions: int = 0

    @property
    def label(self) -> str:
        streams = f"{self.streams:,} stream{'s' * (self.streams > 1)} at {self.rate} tokens/s"
        return f"{streams}, {self.sessions:,} stored sessions" if self.sessions else streams


# A thousand streams at 50 tokens/s exceed one core.
STREAMS: Final = (*(Case(streams=streams) for streams in (1, 10, 100)), Case(streams=1_000, rate=5))

SESSIONS: Final = tuple(Case(streams=10, sessions=sessions) for sessions in (10, 1_000, 10_000))


class Scale(Measure):
    """The cost of a token and a turn with 1 to 1,000 streams and with 10 to 10,000 stored sessions."""

    name = "scale"
    contestants = (SERVICE,)
    figures = (
        Figure("token_us", "CPU µs a token", 1),
        Figure("turn_ms", "CPU ms a turn of 20 tokens, as fast as they go", 2),
    )
    lines = tuple(case.label for case in STREAMS + SESSIONS)
    rounds = (3, 1)

    messages: ClassVar[int] = 4
    """Messages of each stored session."""

    async def round(self, arena: Arena, number: int) -> Round:
        """Start a server for all numbers of streams, and one for each number of sessions."""
        samples: Round = {}
        for cases in (STREAMS, *((case,) for case in SESSIONS)):
            check_descriptors(max(case.streams for case in cases))
            async with arena.fresh(SERVICE) as running:
                await database.fill(running.place, sessions=cases[0].sessions, messages=self.messages)
                await play(WARM_UP, running.target)
                for case in cases:
                    streams = max(2 * case.streams, 200 if self.quick else 500)
                    outcome, used = await cost(running, Load(tokens=20, lanes=case.streams, streams=streams))
                    token = await self._token(arena, running, case)
                    samples[case.label] = {"token_us": token, "turn_ms": used / outcome.streams / 1_000}
        return samples

    async def _token(self, arena: Arena, running: Running, case: Case) -> float:
        """Return the microseconds of CPU for a token while all streams are open."""
        spread = max(0.5, case.streams / 250)
        counted = 3 if self.quick else 6
        used = tokens = 0.0

        async def watch(outcome: Outcome) -> None:
            nonlocal used, tokens
            # All lanes have started after `spread`; a second more lets the openings end.
            await asyncio.sleep(spread + 1)
            tokens -= (await get(arena.upstream, OBSERVED))["tokens"]
            used -= running.process.cpu_seconds()
            await asyncio.sleep(counted)
            used += running.process.cpu_seconds()
            tokens += (await get(arena.upstream, OBSERVED))["tokens"]
            if outcome.open < case.streams:
                raise Unmeasurable(f"{case.streams} streams were not open at once.")

        # Three seconds longer than needed, so that the first stream is still open when the counting ends.
        length = int(case.rate * (spread + counted + 3))
        load = Load(tokens=length, rate=case.rate, lanes=case.streams, streams=case.streams, spread=spread)
        await play(load, running.target, watch)
        return used / tokens * 1_000_000
