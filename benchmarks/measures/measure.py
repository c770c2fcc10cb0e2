"""The parts of all measures: figures, goals, and rounds in which the contestants take turns."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from benchmarks.harness.arena import Arena, Running
from benchmarks.harness.contestants import Contestant
from benchmarks.harness.load import Load, Outcome, Target, play

# A server still works after a stream's last byte, for example on its last commit, and this is part of the cost.
SETTLE_SECONDS: Final = 0.1

Sample = dict[str, float]
"""A contestant's figures of one round, by their keys."""

Round = dict[str, Sample]
"""One round's samples, by the contestants' titles, or by the lines of the measure's own table."""


class Unmeasurable(Exception):
    """The measure cannot run on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the common table: a sample's key, its title, and its decimal digits."""

    key: str
    label: str
    digits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound for one figure of the service: at most `bound`, or at least if it is to be `at_least`.

    Against another contestant, `bound` is a multiple of its figure.
    """

    label: str
    key: str
    bound: float
    at_least: bool = False
    against: Contestant | None = None

    def is_met(self, reached: float) -> bool:
        return reached >= self.bound if self.at_least else reached <= self.bound


class Measure:
    """One measure: its name for `--only`, its contestants, its rounds, and its figures."""

    name: ClassVar[str]
    contestants: ClassVar[Sequence[Contestant]]
    figures: ClassVar[Sequence[Figure]]
    goals: ClassVar[Sequence[Goal]] = ()
    lines: ClassVar[Sequence[str]] = ()
    """The lines of a table of the measure's own, in which the figures are columns; empty for the common table."""

    rounds: ClassVar[tuple[int, int]]
    """The number of rounds in the full and the quick form."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick

    async def round(self, arena: Arena, number: int) -> Round:
        """Play one round. Raise `Unmeasurable`, and as `play` and `Arena` do."""
        # Each round starts with another contestant, so that none always follows the same one.
        present = [contestant for contestant in self.contestants if not contestant.missing]
        first = number % len(present)
        return {
            contestant.title: await self.sample(arena, contestant) for contestant in present[first:] + present[:first]
        }

    async def sample(self, arena: Arena, contestant: Contestant) -> Sample:
        raise NotImplementedError


async def cost(running: Running, load: Load, target: Target | None = None) -> tuple[Outcome, float]:
    """Return the outcome of a load, and the microseconds of CPU that it used."""
    before = running.process.cpu_seconds()
    outcome = await play(load, target or running.target)
    await asyncio.sleep(SETTLE_SECONDS)
    return outcome, (running.process.cpu_seconds() - before) * 1_000_000


def first_tokens(outcome: Outcome) -> Sample:
    """Return the times to the first token."""
    return {"first_p50_ms": outcome.first_token_ms(50), "first_p99_ms": outcome.first_token_ms(99)}
