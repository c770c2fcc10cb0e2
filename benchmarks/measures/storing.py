"""Turns a second that are stored while many are streamed."""

import asyncio
from typing import ClassVar

from benchmarks.harness import database, postgres
from benchmarks.harness.arena import Arena
from benchmarks.harness.contestants import DJANGO, DJANGO_ON_POSTGRES, SERVICE, SERVICE_ON_POSTGRES, Contestant
from benchmarks.harness.load import Load, Outcome, StreamBroken, play
from benchmarks.measures.measure import Figure, Goal, Measure, Round, Sample, Unmeasurable


class Storing(Measure):
    """64 streams at once, on SQLite: turns of 20 tokens, each stored in a new session."""

    name = "storing"
    contestants = (SERVICE, DJANGO)
    figures = (Figure("turns", "64 streams at once, on SQLite: stored turns of 20 tokens a second", 0),)
    goals = (
        Goal(
            label="Stored turns a second on SQLite, against Django's ORM",
            key="turns",
            bound=3,
            at_least=True,
            against=DJANGO,
        ),
    )
    rounds = (5, 2)

    lanes: ClassVar[int] = 64
    messages: ClassVar[int] = 2
    """Messages that a turn must have stored at its end."""

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        running = await arena.running(contestant)
        before = await database.messages(running.place)
        opening, counted = (0.5, 1.5) if self.quick else (1.0, 4.0)
        turns = 0

        async def watch(outcome: Outcome) -> None:
            nonlocal turns
            # Counted while all lanes are busy: neither the opening nor the end of the load is part of it.
            await asyncio.sleep(opening)
            begun = outcome.streams
            await asyncio.sleep(counted)
            turns = outcome.streams - begun

        outcome = await play(Load(tokens=20, lanes=self.lanes, seconds=opening + counted), running.target, watch)
        stored = await database.messages(running.place) - before
        # A server that answers before it has stored the turn is not faster.
        if stored != outcome.streams * self.messages:
            raise StreamBroken(f"{contestant.title} has {stored} messages of {outcome.streams} turns.")
        return {"turns": turns / counted}


class StoringOnPostgres(Storing):
    """64 streams at once, on PostgreSQL: turns of 20 tokens, each stored in a new session."""

    name = "storing-postgres"
    contestants = (SERVICE_ON_POSTGRES, DJANGO_ON_POSTGRES)
    figures = (Figure("turns", "64 streams at once, on PostgreSQL: stored turns of 20 tokens a second", 0),)
    goals = (
        Goal(
            label="Stored turns a second on PostgreSQL, against Django's ORM",
            key="turns",
            bound=5,
            at_least=True,
            against=DJANGO,
        ),
    )

    async def round(self, arena: Arena, number: int) -> Round:
        if postgres.MISSING:
            raise Unmeasurable(postgres.MISSING)
        return await super().round(arena, number)
