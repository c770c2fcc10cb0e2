"""The cost of a tool call."""

import asyncio
import time
from typing import ClassVar

from benchmarks.harness.arena import Arena, Running
from benchmarks.harness.contestants import SERVICE, UNAUDITED, Contestant
from benchmarks.harness.http import post
from benchmarks.harness.load import StreamBroken
from benchmarks.measures.measure import SETTLE_SECONDS, Figure, Goal, Measure, Sample

Call = dict[str, object]


class ToolCalls(Measure):
    """Turns of a model that calls tools."""

    contestants = (SERVICE,)

    max_calls: ClassVar[int] = 32
    turns: ClassVar[int] = 10

    async def used(self, running: Running, calls: list[Call]) -> float:
        """Return the seconds of CPU for turns with these calls."""
        before = running.process.cpu_seconds()
        for _ in range(self.turns):
            await self.seconds(running, calls)
        await asyncio.sleep(SETTLE_SECONDS)
        return running.process.cpu_seconds() - before

    async def seconds(self, running: Running, calls: list[Call]) -> float:
        """Return the duration of one turn with these calls. Raise `StreamBroken` if one of them failed."""
        began = time.perf_counter()
        body = await post(running.place.port, "/chat/stream", {"tool_calls": calls})
        if body.count(b'"type":"tool_result"') != len(calls):
            raise StreamBroken(f"a tool failed: {body[:500]!r}")
        return time.perf_counter() - began


class Tools(ToolCalls):
    """Reads of a file of 10 KB, 32 a turn against one, and sandboxed commands, one a turn."""

    name = "tools"
    figures = (
        Figure("read_ms", "A confined `fs.read` of 10 KB through the executor, its row included: CPU ms", 2),
        Figure("echo_ms", "A sandboxed `echo`, from the request to the end of the stream: ms, p50", 1),
    )
    goals = (
        Goal(label="A confined `fs.read` of 10 KB: CPU ms", key="read_ms", bound=1),
        Goal(label="A sandboxed `echo`: ms of wall time, p50", key="echo_ms", bound=60),
    )
    rounds = (5, 2)

    echoes: ClassVar[int] = 20

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        running = await arena.running(contestant)
        (running.place.folder / "workspaces" / "ten.txt").write_text("0123456\n" * 1_280)
        reading: Call = {"name": "fs.read", "params": {"path": "ten.txt"}}
        # The difference between many calls and one leaves out the cost of the turn itself.
        one, many = [await self.used(running, [reading] * count) for count in (1, self.max_calls)]
        echo: Call = {"name": "terminal.exec", "params": {"command": "echo hello"}}
        times = [await self.seconds(running, [echo]) for _ in range(self.echoes)]
        return {
            "read_ms": (many - one) * 1_000 / self.turns / (self.max_calls - 1),
            "echo_ms": sorted(times)[self.echoes // 2] * 1_000,
        }


class Audit(ToolCalls):
    """Reads of an empty file, 32 a turn against one, with the audit chain and without it, in turns."""

    name = "audit"
    figures = (Figure("audit_ms", "The audit entries of a tool's execution: CPU ms", 3),)
    goals = (Goal(label="The audit entries of a tool's execution: CPU ms", key="audit_ms", bound=0.1),)
    rounds = (7, 3)

    turns: ClassVar[int] = 20

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        reading: Call = {"name": "fs.read", "params": {"path": "empty.txt"}}
        seconds = []
        for each in (contestant, UNAUDITED):
            running = await arena.running(each)
            (running.place.folder / "workspaces" / "empty.txt").touch()
            one, many = [await self.used(running, [reading] * count) for count in (1, self.max_calls)]
            seconds.append(many - one)
        return {"audit_ms": (seconds[0] - seconds[1]) * 1_000 / self.turns / (self.max_calls - 1)}
