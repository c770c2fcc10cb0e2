"""What is counted, in memory: counters, gauges and histograms, each a table from values of labels to numbers.

An instrument is changed by one thread alone. An addition costs a tenth of a microsecond, a tenth of what it costs in
prometheus-client, whose part here is the format.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[str, ...]
Rows = dict[Labels, list[float]]
"""The numbers of each set of labels: one; of a histogram those in each bucket, and behind them their sum."""

MAX_ROWS: Final = 2_000
"""Sets of labels of one instrument. Those beyond are counted as `other`."""

OTHER: Final = "other"


class Instrument:
    """A table of numbers. `name` ends as Prometheus has it (https://prometheus.io/docs/practices/naming/)."""

    kind: Kind
    width = 1

    def __init__(self, name: str, told: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.told = told
        self.labels = tuple(labels)
        self._rows: Rows = {}

    def rows(self) -> Rows:
        """A copy."""
        return {labels: list(row) for labels, row in list(self._rows.items())}

    def _row(self, labels: Labels) -> list[float]:
        try:
            return self._rows[labels]
        except KeyError:
            known = labels if len(self._rows) < MAX_ROWS else (OTHER,) * len(labels)
            return self._rows.setdefault(known, [0.0] * self.width)


class Counter(Instrument):
    """What only grows."""

    kind = "counter"

    def add(self, *labels: str, amount: float = 1.0) -> None:
        self._row(labels)[0] += amount


class Gauge(Instrument):
    """What grows and shrinks; or, where `read` is set, is asked for when it is told."""

    kind = "gauge"
    read: Callable[[], float] | None = None

    def add(self, amount: float) -> None:
        self._row(())[0] += amount

    def rows(self) -> Rows:
        return super().rows() if self.read is None else {(): [self.read()]}


class Histogram(Instrument):
    """How many values are at most as large as each of the `bounds`, and the sum of all."""

    kind = "histogram"

    def __init__(self, name: str, told: str, labels: Sequence[str] = (), *, bounds: Sequence[float]) -> None:
        super().__init__(name, told, labels)
        self.bounds = tuple(bounds)
        self.width = len(bounds) + 2

    def add(self, value: float, *labels: str) -> None:
        row = self._row(labels)
        row[bisect_left(self.bounds, value)] += 1
        row[-1] += value


class Names:
    """Names that a caller may have chosen, as values of a label: the first `most` that proved real, and `other`."""

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
    """Adds the rows to the sums, number by number."""
    for labels, row in rows.items():
        before = sums.get(labels)
        sums[labels] = list(row) if before is None else [a + b for a, b in zip(before, row, strict=True)]
