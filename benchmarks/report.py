"""The tables for docs/benchmarks.md, and the same as JSON."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from benchmarks.harness.contestants import CONTESTANTS, SERVICE, UPSTREAM
from benchmarks.measures import Figure, Goal, Measure, Round

COLUMNS: Final = tuple(contestant.title for contestant in CONTESTANTS if contestant is not UPSTREAM)
NOTHING: Final = "-"


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure, and its rounds."""

    measure: Measure
    rounds: Sequence[Round]

    def median(self, title: str, key: str) -> float | None:
        """Return the median of a contestant, or of a line of the measure's own table."""
        samples = [samples[title][key] for samples in self.rounds if title in samples]
        return median(samples) if samples else None

    def reached(self, goal: Goal) -> float | None:
        """Return the service's figure for a goal: for a ratio, the median of the ratios of the rounds."""
        # Both figures of a ratio are of one round, so that a slower machine changes both alike.
        if goal.against is None:
            return self.median(SERVICE.title, goal.key)
        titles = SERVICE.title, goal.against.title
        pairs = [tuple(samples[title][goal.key] for title in titles) for samples in self.rounds if titles[1] in samples]
        return median(own / other for own, other in pairs) if pairs else None


@dataclass(slots=True)
class Report:
    """Everything that one run measured."""

    machine: str
    notes: list[str] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def markdown(self) -> str:
        loads = f"Load average {self.load_before:.2f} before, {os.getloadavg()[0]:.2f} after."
        rounds = ", ".join(f"{len(one.rounds)} of {one.measure.name}" for one in self.measured)
        head = f"{self.machine}. Medians of interleaved rounds ({rounds}). {loads}"
        own = [line for one in self.measured if one.measure.lines for line in ["", *_own_table(one)]]
        return "\n".join([head, *self.notes, *self._figures(), *own, *self._goals()])

    def as_json(self) -> str:
        report: dict[str, Any] = {
            "machine": self.machine,
            "notes": self.notes,
            "load_average": [self.load_before, os.getloadavg()[0]],
            "rounds": {one.measure.name: one.rounds for one in self.measured},
        }
        return json.dumps(report, indent=2)

    def _figures(self) -> list[str]:
        """Return the common table, with a column for each contestant in any of its lines."""
        common = [one for one in self.measured if not one.measure.lines]
        there = {title for one in common for samples in one.rounds for title in samples}
        columns = [title for title in COLUMNS if title in there]
        rows = [
            _line(figure.label, *(_value(one.median(title, figure.key), figure) for title in columns))
            for one in common
            for figure in one.measure.figures
        ]
        return ["", *_head("", columns), *rows] if rows else []

    def _goals(self) -> list[str]:
        rows = [_goal(goal, one.reached(goal)) for one in self.measured for goal in one.measure.goals]
        head = [_line("what must be reached", "bound", "measured", ""), _line("---", "---:", "---:", "---")]
        return ["", *head, *rows] if rows else []


def _own_table(one: Measured) -> list[str]:
    """Return a table with a line for each case, and a column for each figure."""
    figures = one.measure.figures
    rows = [
        _line(label, *(_value(one.median(label, each.key), each) for each in figures)) for label in one.measure.lines
    ]
    return [*_head("", [figure.label for figure in figures]), *rows]


def _head(first: str, columns: Sequence[str]) -> list[str]:
    return [_line(first, *columns), _line("---", *("---:" for _ in columns))]


def _value(value: float | None, figure: Figure) -> str:
    return NOTHING if value is None else f"{value:,.{figure.digits}f}"


def _goal(goal: Goal, reached: float | None) -> str:
    bound = f"at {'least' if goal.at_least else 'most'} {_amount(goal, goal.bound)}"
    if reached is None:
        return _line(goal.label, bound, NOTHING, "not measured")
    verdict = "met" if goal.is_met(reached) else "**missed**"
    return _line(goal.label, bound, _amount(goal, reached), verdict)


def _amount(goal: Goal, amount: float) -> str:
    if goal.against is None:
        return f"{amount:,.2f}"
    return f"1/{1 / amount:.1f}" if amount < 0.1 else f"{amount:.2f} times"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
