"""Counters, gauges and histograms in memory, each a table from label values to numbers.

Only one thread changes an instrument, so no addition takes a lock.
"""

# An addition costs a tenth of a microsecond, a tenth of its cost in prometheus-client. That package is therefore used
# only for the output format.

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[str, ...]
Rows = dict[Labels, list[float]]
"""The numbers for each set of labels: one number, or for a histogram those in each bucket and then their sum."""

# Sets of labels of one instrument. Further ones are counted as `other`: each row stays in memory,
# and is part of every reading.
MAX_ROWS: Final = 2_000

OTHER: Final = "other"


class Instrument:
    """A table of numbers. `name` follows Prometheus (https://prometheus.io/docs/practices/naming/).

    With `read`, its one number is read when it is reported.
    """

    kind: Kind
    width = 1
    read: Callable[[], float] | None = None

    def __init__(self, name: str, description: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.description = description
        self.labels = tuple(labels)
        self._rows: Rows = {}

    def rows(self) -> Rows:
        """Return a copy of the rows."""
        if self.read is not None:
            return {(): [self.read()]}
        # Another thread may read: `list` copies the items in one step, so a new row cannot disturb the loop.
        return {labels: list(row) for labels, row in list(self._rows.items())}

    def _row(self, labels: Labels) -> list[float]:
        try:
            return self._rows[labels]
        except KeyError:
            known = labels if len(self._rows) < MAX_ROWS else (OTHER,) * len(labels)
            return self._rows.setdefault(known, [0.0] * self.width)


class Counter(Instrument):
    """A number that only grows."""

    kind = "counter"

    def add(self, *labels: str, amount: float = 1.0) -> None:
        self._row(labels)[0] += amount


class Gauge(Instrument):
    """A number that grows and shrinks."""

    kind = "gauge"

    def add(self, amount: float) -> None:
        self._row(())[0] += amount


class Histogram(Instrument):
    """The number of values up to each of the `bounds`, and the sum of all."""

    kind = "histogram"

    def __init__(self, name: str, description: str, labels: Sequence[str] = (), *, bounds: Sequence[float]) -> None:
        super().__init__(name, description, labels)
        self.bounds = tuple(bounds)
        self.width = len(bounds) + 2

    def add(self, value: float, *labels: str) -> None:
        row = self._row(labels)
        # Each value is counted in one bucket only, and the output adds them up: an addition then changes two numbers.
        row[bisect_left(self.bounds, value)] += 1
        row[-1] += value


class Names:
    """Label values that a caller may have chosen: the first `most` that proved real, and `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, name: str, *, is_real: bool) -> str:
        if name in self._known:
            return name
        if is_real and len(self._known) < self._most:
            self._known.add(name)
            return name
        return OTHER


def add_rows(sums: Rows, rows: Mapping[Labels, Sequence[float]]) -> None:
    """Add the rows to the sums, number by number."""
    for labels, row in rows.items():
        before = sums.get(labels)
        sums[labels] = list(row) if before is None else [a + b for a, b in zip(before, row, strict=True)]
