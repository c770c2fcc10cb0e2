"""What is measured, each in rounds in which the contestants take turns."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from benchmarks import machine
from benchmarks.arena import Arena, Running
from benchmarks.contestants import FASTAPI, NGINX, PROJECT, SERVICE, UNSTORED, UPSTREAM, Contestant, native
from benchmarks.contestants import service_environment as environment
from benchmarks.load import MOST_SECONDS, Load, Outcome, StreamBroken, Target, play

SETTLE_SECONDS: Final = 0.1
"""What a server still does for a stream after its last byte counts as well."""

Sample = dict[str, float]
"""A contestant's figures of one round, by their keys."""

Round = dict[str, Sample]
"""One round's samples, by the contestants' titles."""


class Unmeasurable(Exception):
    """It cannot be measured on this machine, and why."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table: a sample's key, what it is called, and its digits behind the point."""

    key: str
    label: str
    digits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the service must reach: a figure is at most this much, or this many times another contestant's."""

    label: str
    key: str
    most: float
    against: Contestant | None = None


class Measure:
    """One measure: its name for `--only`, who takes part, how many rounds, and the figures that come of them."""

    name: ClassVar[str]
    contestants: ClassVar[Sequence[Contestant]]
    figures: ClassVar[Sequence[Figure]]
    goals: ClassVar[Sequence[Goal]]
    rounds: ClassVar[tuple[int, int]]
    """Of the whole form, and of the quick one."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick

    async def round(self, arena: Arena, number: int) -> Round:
        """One round; each begins with another contestant. Raises `Unmeasurable`, and as `play` and `Arena` do."""
        present = [contestant for contestant in self.contestants if not contestant.missing]
        first = number % len(present)
        return {
            contestant.title: await self.sample(arena, contestant) for contestant in present[first:] + present[:first]
        }

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        raise NotImplementedError


async def cost(running: Running, load: Load, target: Target | None = None) -> tuple[Outcome, float]:
    """What came of a load, and the microseconds of CPU that it took."""
    before = running.process.cpu_seconds()
    outcome = await play(load, target or running.target)
    await asyncio.sleep(SETTLE_SECONDS)
    return outcome, (running.process.cpu_seconds() - before) * 1_000_000


class Burst(Measure):
    """Streams of 1,000 tokens as fast as they go, one at a time."""

    name = "burst"
    contestants = (NGINX, SERVICE, UNSTORED, FASTAPI)
    figures = (Figure("token_us", "1,000 tokens as fast as they go, one stream at a time: CPU µs a token", 2),)
    goals = (
        Goal(label="Burst: CPU a token against FastAPI + openai SDK", key="token_us", most=1 / 25, against=FASTAPI),
        Goal(label="Burst: CPU a token against nginx", key="token_us", most=10, against=NGINX),
    )
    rounds = (9, 3)

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        load = Load(tokens=1_000, seconds=0.5 if self.quick else 1.0)
        outcome, used = await cost(await arena.running(contestant), load)
        return {"token_us": used / outcome.tokens}


class Paced(Measure):
    """40 streams at 50 tokens a second."""

    name = "paced"
    contestants = (NGINX, SERVICE, UNSTORED, FASTAPI)
    figures = (Figure("token_us", "40 streams at 50 tokens/s: CPU µs a token", 1),)
    goals = (
        Goal(label="Paced: CPU a token against FastAPI + openai SDK", key="token_us", most=0.4, against=FASTAPI),
        Goal(label="Paced: CPU a token against nginx", key="token_us", most=3.5, against=NGINX),
    )
    rounds = (7, 2)

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        load = Load(tokens=100 if self.quick else 250, rate=50, lanes=40, streams=40, spread=0.5)
        outcome, used = await cost(await arena.running(contestant), load)
        return {"token_us": used / outcome.tokens}


class Turn(Measure):
    """Turns of 20 tokens, one after the other, each in a new session."""

    name = "turn"
    contestants = (UPSTREAM, NGINX, SERVICE, UNSTORED, FASTAPI)
    figures = (
        Figure("turn_ms", "A turn of 20 tokens: CPU ms", 2),
        Figure("added_p50_ms", "its first token, later than the upstream's own: ms, p50", 2),
        Figure("added_p99_ms", "the same, p99", 2),
    )
    goals = (
        Goal(label="A stored turn of 20 tokens: CPU ms", key="turn_ms", most=2),
        Goal(label="A stored turn of 20 tokens: ms added to the first token, p50", key="added_p50_ms", most=4),
    )
    rounds = (9, 3)

    async def round(self, arena: Arena, number: int) -> Round:
        samples = await super().round(arena, number)
        direct = samples.pop(UPSTREAM.title)
        return {title: _added(sample, direct) for title, sample in samples.items()}

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        load = Load(tokens=20, seconds=0.5 if self.quick else 1.5)
        outcome, used = await cost(await arena.running(contestant), load)
        return {"turn_ms": used / outcome.streams / 1_000, **_first_tokens(outcome)}


class OpenStreams(Measure):
    """1,000 streams open at once, at 2 tokens a second, in a new process each round."""

    name = "streams"
    contestants = (SERVICE, FASTAPI)
    figures = (
        Figure("stream_kb", "1,000 open streams: KB each", 1),
        Figure("first_p50_ms", "their first tokens: ms, p50", 1),
        Figure("first_p99_ms", "the same, p99", 1),
    )
    goals = (Goal(label="1,000 open streams: KB each", key="stream_kb", most=60),)
    rounds = (3, 1)

    streams: ClassVar[int] = 1_000
    opening_seconds: ClassVar[int] = 10
    open_seconds: ClassVar[int] = 5

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        self._check_descriptors()
        tokens = 2 * (self.opening_seconds + self.open_seconds)
        load = Load(tokens=tokens, rate=2, lanes=self.streams, streams=self.streams, spread=self.opening_seconds)
        async with arena.fresh(contestant) as running:
            before = running.process.memory_kb()
            peak = before

            async def watch(outcome: Outcome) -> None:
                nonlocal peak
                await asyncio.sleep(self.opening_seconds + 1)
                while outcome.open == self.streams:
                    peak = max(peak, running.process.memory_kb())
                    await asyncio.sleep(0.5)

            outcome = await play(load, running.target, watch)
        if peak == before:
            raise Unmeasurable(f"{contestant.title} did not have {self.streams} streams open at once.")
        return {"stream_kb": (peak - before) / self.streams, **_first_tokens(outcome)}

    def _check_descriptors(self) -> None:
        needed = 2 * self.streams + 500
        if (allowed := machine.descriptors(needed)) < needed:
            raise Unmeasurable(f"It needs {needed} open files a process, and {allowed} are allowed (ulimit -Hn).")


class History(Measure):
    """Turns of 20 tokens, each in a session that has 1,000 messages."""

    name = "history"
    contestants = (SERVICE,)
    figures = (
        Figure("turn_ms", "A turn on a history of 1,000 messages: CPU ms", 2),
        Figure("first_p50_ms", "its first token: ms, p50", 1),
    )
    goals = (Goal(label="A turn on a history of 1,000 messages: CPU ms", key="turn_ms", most=10),)
    rounds = (5, 2)

    messages: ClassVar[int] = 1_000
    sessions: ClassVar[int] = 20

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        running = await arena.running(contestant)
        sessions = iter(await asyncio.to_thread(self._prepare, running))
        target = replace(running.target, body=lambda message: {**native(message), "session_id": next(sessions)})
        whole = b'"input_tokens":%d' % (self.messages + 1)
        outcome, used = await cost(running, Load(tokens=20, streams=self.sessions, holds=whole), target)
        return {"turn_ms": used / outcome.streams / 1_000, **_first_tokens(outcome)}

    def _prepare(self, running: Running) -> list[str]:
        options = ["--sessions", str(self.sessions), "--messages", str(self.messages)]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.histories", *options],
            cwd=PROJECT,
            env=environment(running.place, stored=True),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        return done.stdout.split()


class Tools(Measure):
    """Reads of a file of 10 KB, 32 a turn against one, and commands in the sandbox, one a turn."""

    name = "tools"
    contestants = (SERVICE,)
    figures = (
        Figure("read_ms", "A confined `fs.read` of 10 KB through the door, its row included: CPU ms", 2),
        Figure("echo_ms", "A sandboxed `echo`, from the request to the end of the stream: ms, p50", 1),
    )
    goals = (
        Goal(label="A confined `fs.read` of 10 KB: CPU ms", key="read_ms", most=1),
        Goal(label="A sandboxed `echo`: ms of wall time, p50", key="echo_ms", most=60),
    )
    rounds = (5, 2)

    most_calls: ClassVar[int] = 32
    turns: ClassVar[int] = 10
    echoes: ClassVar[int] = 20

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        running = await arena.running(contestant)
        (running.place.folder / "workspaces" / "ten.txt").write_text("0123456\n" * 1_280)
        reading = {"name": "fs.read", "params": {"path": "ten.txt"}}
        one, many = [await self._used(running, [reading] * count) for count in (1, self.most_calls)]
        echo = {"name": "terminal.exec", "params": {"command": "echo hello"}}
        times = [await self._seconds(running, [echo]) for _ in range(self.echoes)]
        return {
            "read_ms": (many - one) * 1_000 / self.turns / (self.most_calls - 1),
            "echo_ms": sorted(times)[self.echoes // 2] * 1_000,
        }

    async def _used(self, running: Running, calls: list[dict[str, object]]) -> float:
        """The seconds of CPU that turns of these calls took."""
        before = running.process.cpu_seconds()
        for _ in range(self.turns):
            await self._seconds(running, calls)
        await asyncio.sleep(SETTLE_SECONDS)
        return running.process.cpu_seconds() - before

    async def _seconds(self, running: Running, calls: list[dict[str, object]]) -> float:
        """How long one turn of these calls took. Raises `StreamBroken` where one of them failed."""
        began = time.perf_counter()
        body = await asyncio.to_thread(_posted, running.place.port, {"tool_calls": calls})
        if body.count(b'"type":"tool_result"') != len(calls):
            raise StreamBroken(f"a tool failed: {body[:500]!r}")
        return time.perf_counter() - began


MEASURES: Final = (Burst, Paced, Turn, OpenStreams, History, Tools)


def _posted(port: int, body: dict[str, object]) -> bytes:
    """All that the service answers."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/chat/stream", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=MOST_SECONDS) as response:  # noqa: S310 - it is our own
        answer: bytes = response.read()
        return answer


def _first_tokens(outcome: Outcome) -> Sample:
    return {"first_p50_ms": outcome.first_token_ms(50), "first_p99_ms": outcome.first_token_ms(99)}


def _added(sample: Sample, direct: Sample) -> Sample:
    later = {f"added_{which}_ms": sample[f"first_{which}_ms"] - direct[f"first_{which}_ms"] for which in ("p50", "p99")}
    return sample | later
