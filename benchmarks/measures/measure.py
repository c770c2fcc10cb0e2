"""What all measures are made of: figures, goals, and rounds in which the contestants take turns."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from benchmarks.harness.arena import Arena, Running
from benchmarks.harness.contestants import Contestant
from benchmarks.harness.load import Load, Outcome, Target, play

SETTLE_SECONDS: Final = 0.1
"""What a server still does for a stream after its last byte counts as well."""

Sample = dict[str, float]
"""A contestant's figures of one round, by their keys."""

Round = dict[str, Sample]
"""One round's samples, by the contestants' titles, or by the lines of the measure's own table."""


class Unmeasurable(Exception):
    """It cannot be measured on this machine, and why."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the common table: a sample's key, what it is called, and its digits behind the point."""

    key: str
    label: str
    digits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the service must reach in one figure: `bound` or less, or `bound` or more where it is to be `at_least`.

    Against another contestant, `bound` is a multiple of what that one has.
    """

    label: str
    key: str
    bound: float
    at_least: bool = False
    against: Contestant | None = None

    def is_met(self, reached: float) -> bool:
        return reached >= self.bound if self.at_least else reached <= self.bound


class Measure:
    """One measure: its name for `--only`, who takes part, how many rounds, and the figures that come of them."""

    name: ClassVar[str]
    contestants: ClassVar[Sequence[Contestant]]
    figures: ClassVar[Sequence[Figure]]
    goals: ClassVar[Sequence[Goal]] = ()
    lines: ClassVar[Sequence[str]] = ()
    """Of a table of the measure's own, in which the figures are columns; empty where they go into the common table."""

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


def first_tokens(outcome: Outcome) -> Sample:
    """How long streams waited for their first tokens."""
    return {"first_p50_ms": outcome.first_token_ms(50), "first_p99_ms": outcome.first_token_ms(99)}
