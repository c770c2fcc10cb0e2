"""The Prometheus output, read by prometheus-client's own parsers."""

from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from telemetry.metrics import INSTRUMENTS
from telemetry.prometheus import render

NUMBERS: Any = {
    "orchestrator_requests_total": {("GET", "/healthz", "200"): [3.0]},
    "orchestrator_commit_seconds": {(): [1.0, 2.0, *[0.0] * 12, 0.5]},
    "orchestrator_runs_active": {(): [4.0]},
}
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@pytest.mark.parametrize(
    ("accept", "content_type", "read"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8", read_text),
        ("text/plain; version=nonsense", "text/plain; version=0.0.4; charset=utf-8", read_text),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8", read_openmetrics),
    ],
)
def test_all_instruments_are_exposed_in_the_requested_format(accept: str, content_type: str, read: Any) -> None:
    exposed = render(NUMBERS, accept)
    assert exposed.content_type == content_type
    families = {family.name: family for family in read(exposed.body.decode())}
    assert len(families) == len(INSTRUMENTS)
    values = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["orchestrator_requests_total", None] == 3
    assert values["orchestrator_runs_active", None] == 4
    assert values["orchestrator_commit_seconds_bucket", "0.001"] == 1
    assert values["orchestrator_commit_seconds_bucket", "+Inf"] == 3
    assert values["orchestrator_commit_seconds_sum", None] == 0.5


def test_instruments_without_labels_are_exposed_from_the_start() -> None:
    exposed = render({}, "").body.decode()
    assert "\norchestrator_runs_started_total 0.0\n" in exposed
    assert 'orchestrator_run_seconds_bucket{le="+Inf"} 0.0' in exposed


def test_names_and_units_follow_the_prometheus_conventions() -> None:
    for instrument in INSTRUMENTS:
        assert instrument.name.startswith(("orchestrator_", "process_"))
        assert instrument.name.endswith("_total") == (instrument.kind == "counter")
        assert instrument.name.endswith("_seconds") == (instrument.kind == "histogram")
