"""The place of the contestants: one upstream, one PostgreSQL, and servers that start on demand."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from benchmarks.harness import postgres
from benchmarks.harness.contestants import PROJECT, Contestant, Place
from benchmarks.harness.load import Load, Target, play
from benchmarks.harness.machine import Cores
from benchmarks.harness.process import Process, free_port

# The first requests import modules, open connections and fill caches, which is not a cost of a turn or a token.
WARM_UP: Final = (Load(tokens=20, streams=100), Load(tokens=1_000, streams=5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A contestant that accepts requests."""

    contestant: Contestant
    place: Place
    process: Process

    @property
    def target(self) -> Target:
        contestant = self.contestant
        return Target(
            port=self.place.port,
            path=contestant.path,
            dialect=contestant.dialect,
            body=contestant.body,
            key=contestant.key(self.place),
        )


class Arena:
    """An async context in which the upstream runs; all servers end with it."""

    def __init__(self, folder: Path, cores: Cores, *, show_logs: bool) -> None:
        self._folder = folder
        self._cores = cores
        self._show_logs = show_logs
        self._running: dict[Contestant, Running] = {}
        self._postgres: postgres.Postgres | None = None
        self.upstream: Final = free_port()
        self._ending = contextlib.AsyncExitStack()
        self._places = 0

    async def __aenter__(self) -> Self:
        place = self._place(self.upstream)
        command = [sys.executable, "-m", "benchmarks.upstream", "--port", str(self.upstream)]
        self._upstream_process = Process(
            command, core=self._cores.others, folder=PROJECT, environment=place.environment, show=self._show_logs
        )
        self._ending.callback(self._upstream_process.stop)
        await self._upstream_process.listening(self.upstream)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._ending.aclose()

    async def running(self, contestant: Contestant) -> Running:
        """Return the contestant, warmed up. Raise `NotStarted` and `StreamBroken`."""
        if contestant not in self._running:
            self._running[contestant] = await self._ending.enter_async_context(self.fresh(contestant))
        return self._running[contestant]

    @contextlib.asynccontextmanager
    async def fresh(self, contestant: Contestant) -> AsyncIterator[Running]:
        """Yield the contestant in a new process, warmed up. Raise `NotStarted` and `StreamBroken`."""
        place = self._place(free_port() if contestant.launch else self.upstream)
        if contestant.needs_postgres:
            place = replace(place, database=await self._database())
        process = self._upstream_process
        if contestant.launch is not None:
            launch = contestant.launch(place)
            process = Process(
                launch.command,
                core=self._cores.server,
                folder=launch.folder,
                environment=launch.environment,
                show=self._show_logs,
            )
        running = Running(contestant=contestant, place=place, process=process)
        try:
            await process.listening(place.port)
            for load in WARM_UP:
                await play(load, running.target)
            yield running
        finally:
            # The upstream serves all contestants, and ends with the arena.
            if process is not self._upstream_process:
                process.stop()

    async def _database(self) -> str:
        """Return the URL of a new database."""
        if self._postgres is None:
            # The stack unwinds backwards, so contestants that start later end before their database does.
            server = postgres.served(self._cores.others, show=self._show_logs)
            self._postgres = await self._ending.enter_async_context(server)
        return await asyncio.to_thread(self._postgres.database)

    def _place(self, port: int) -> Place:
        self._places += 1
        folder = self._folder / str(self._places)
        folder.mkdir()
        return Place(folder=folder, port=port, upstream=self.upstream)
