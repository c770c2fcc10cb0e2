"""Metrics in Prometheus' text format 0.0.4 or OpenMetrics 1.0.0, as the request asks."""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

import msgspec
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.utils import floatToGoString

from telemetry.instruments import Histogram, Instrument, Rows
from telemetry.metrics import INSTRUMENTS

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
MEDIA_TYPES: Final = ("text/plain", "application/openmetrics-text")


_openmetrics: Callable[[Any], bytes] = generate_openmetrics  # it ships without a type


class Exposition(msgspec.Struct, frozen=True):
    body: bytes
    content_type: str


class _Families:
    """The registry interface that prometheus-client expects."""

    def __init__(self, numbers: Mapping[str, Rows]) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        for instrument in INSTRUMENTS:
            yield _family(instrument, self._numbers.get(instrument.name, {}))


def render(numbers: Mapping[str, Rows], accept: str) -> Exposition:
    """Return the rows of the instruments, by name, in the format of the request's `Accept` header."""
    families: Any = _Families(numbers)
    if MEDIA_TYPES[1] in accept:
        return Exposition(_openmetrics(families), OPENMETRICS)
    return Exposition(generate_latest(families), TEXT)


def _family(instrument: Instrument, rows: Rows) -> Metric:
    """Return the family of an instrument."""
    # Without labels it is present at 0 too: `rate()` does not see a step from nothing to 1.
    shown = rows or ({} if instrument.labels else {(): [0.0] * instrument.width})
    if isinstance(instrument, Histogram):
        histogram = HistogramMetricFamily(instrument.name, instrument.description, labels=instrument.labels)
        bounds = [*map(floatToGoString, instrument.bounds), "+Inf"]
        for labels, row in sorted(shown.items()):
            # The format's buckets are cumulative: each includes those below it.
            *counts, total = row
            histogram.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return histogram
    make = CounterMetricFamily if instrument.kind == "counter" else GaugeMetricFamily
    family = make(instrument.name, instrument.description, labels=instrument.labels)
    for labels, row in sorted(shown.items()):
        family.add_metric(labels, row[0])
    return family
