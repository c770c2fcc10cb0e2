"""The tables for the README, and the same as JSON."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from benchmarks.contestants import CONTESTANTS, SERVICE, UPSTREAM, Contestant
from benchmarks.measures import Figure, Goal, Measure, Round

COLUMNS: Final = tuple(contestant for contestant in CONTESTANTS if contestant is not UPSTREAM)
NOTHING: Final = "-"


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure, and its rounds."""

    measure: Measure
    rounds: Sequence[Round]

    def median(self, contestant: Contestant, key: str) -> float | None:
        samples = [samples[contestant.title][key] for samples in self.rounds if contestant.title in samples]
        return median(samples) if samples else None

    def reached(self, goal: Goal) -> float | None:
        """What the service has of what the goal is about: the median of the rounds' own ratios, where it is one."""
        if goal.against is None:
            return self.median(SERVICE, goal.key)
        titles = SERVICE.title, goal.against.title
        pairs = [tuple(samples[title][goal.key] for title in titles) for samples in self.rounds if titles[1] in samples]
        return median(own / other for own, other in pairs) if pairs else None


@dataclass(slots=True)
class Report:
    """All that one run has measured."""

    machine: str
    notes: list[str] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def markdown(self) -> str:
        loads = f"Load average {self.load_before:.2f} before, {os.getloadavg()[0]:.2f} after."
        rounds = ", ".join(f"{len(one.rounds)} of {one.measure.name}" for one in self.measured)
        head = f"{self.machine}. Medians of interleaved rounds ({rounds}). {loads}"
        return "\n".join([head, *self.notes, "", *self._figures(), "", *self._goals()])

    def as_json(self) -> str:
        told: dict[str, Any] = {
            "machine": self.machine,
            "notes": self.notes,
            "load_average": [self.load_before, os.getloadavg()[0]],
            "rounds": {one.measure.name: one.rounds for one in self.measured},
        }
        return json.dumps(told, indent=2)

    def _figures(self) -> list[str]:
        rows = [_row(one, figure) for one in self.measured for figure in one.measure.figures]
        return [_line("", *(column.title for column in COLUMNS)), _line("---", *("---:" for _ in COLUMNS)), *rows]

    def _goals(self) -> list[str]:
        rows = [_goal(goal, one.reached(goal)) for one in self.measured for goal in one.measure.goals]
        return [_line("what must be reached", "at most", "measured", ""), _line("---", "---:", "---:", "---"), *rows]


def _row(one: Measured, figure: Figure) -> str:
    values = (one.median(column, figure.key) for column in COLUMNS)
    return _line(figure.label, *(NOTHING if value is None else f"{value:.{figure.digits}f}" for value in values))


def _goal(goal: Goal, reached: float | None) -> str:
    if reached is None:
        return _line(goal.label, _amount(goal, goal.most), NOTHING, "not measured")
    return _line(goal.label, _amount(goal, goal.most), _amount(goal, reached), _verdict(goal, reached))


def _verdict(goal: Goal, reached: float) -> str:
    return "met" if reached <= goal.most else "**missed**"


def _amount(goal: Goal, amount: float) -> str:
    if goal.against is None:
        return f"{amount:.2f}"
    return f"1/{1 / amount:.1f}" if amount < 0.1 else f"{amount:.2f} times"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
