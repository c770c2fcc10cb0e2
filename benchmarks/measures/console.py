"""The pages of the console on a database with 10,000 sessions and 1,000,000 executions."""

import asyncio
import json
import subprocess
import sys
from typing import ClassVar, Final

from benchmarks.harness import postgres
from benchmarks.harness.arena import Arena
from benchmarks.harness.contestants import PROJECT, SERVICE, SERVICE_ON_POSTGRES, Contestant, service_environment
from benchmarks.measures.measure import Figure, Goal, Measure, Round, Unmeasurable

MAX_MS: Final = 300
MAX_SECONDS: Final = 1_800
"""Seconds after which the measure is given up."""


class Console(Measure):
    """Pages of the console, on SQLite with 10,000 sessions and 1,000,000 executions."""

    name = "console"
    contestants = (SERVICE,)
    figures = (
        Figure("median_ms", "ms, median", 0),
        Figure("max_ms", "ms, slowest", 0),
        Figure("queries", "queries", 0),
    )
    goals = (
        Goal(
            label="The slowest page of the console on SQLite, median of its rounds: ms", key="median_ms", bound=MAX_MS
        ),
    )
    rounds = (1, 1)

    sizes: ClassVar[tuple[int, int]] = (10_000, 1_000_000)
    quick_sizes: ClassVar[tuple[int, int]] = (1_000, 100_000)

    async def round(self, arena: Arena, number: int) -> Round:
        contestant: Contestant = self.contestants[0]
        async with arena.fresh(contestant) as running:
            # The server has made the tables. It only renews its lease while the pages are requested in a process of
            # their own.
            sessions, executions = self.quick_sizes if self.quick else self.sizes
            command = [
                "--sessions",
                str(sessions),
                "--executions",
                str(executions),
                "--rounds",
                "3" if self.quick else "5",
            ]
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "benchmarks.console", *command],
                cwd=PROJECT,
                env=service_environment(running.place, stored=True),
                stdout=subprocess.PIPE,
                check=True,
                text=True,
                timeout=MAX_SECONDS,
            )
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        samples = {one.pop("page"): one for one in found}
        # The lines of the table are the pages, which the process knows.
        type(self).lines = tuple(samples)
        return {**samples, contestant.title: max(samples.values(), key=lambda one: one["median_ms"])}


class ConsoleOnPostgres(Console):
    """Pages of the console, on PostgreSQL with 10,000 sessions and 1,000,000 executions."""

    name = "console-postgres"
    contestants = (SERVICE_ON_POSTGRES,)
    goals = (
        Goal(
            label="The slowest page of the console on PostgreSQL, median of its rounds: ms",
            key="median_ms",
            bound=MAX_MS,
        ),
    )

    async def round(self, arena: Arena, number: int) -> Round:
        if postgres.MISSING:
            raise Unmeasurable(postgres.MISSING)
        return await super().round(arena, number)
