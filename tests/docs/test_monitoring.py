"""The dashboard and the alert rules in `docs/monitoring`: every name and label is one that `/metrics` exports."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from telemetry.instruments import Histogram
from telemetry.metrics import INSTRUMENTS

FOLDER: Final = Path(__file__).parents[2] / "docs" / "monitoring"
NAME: Final = re.compile(r"\b(?:orchestrator|process)_[a-z_]+\b")
SELECTOR: Final = re.compile(r"\b((?:orchestrator|process)_[a-z_]+)\{([^}]*)\}")
LABEL: Final = re.compile(r"(\w+)\s*[=!]~?")
BY: Final = re.compile(r"by \(([^)]*)\)")

ADDED: Final = {"job", "instance", "le"}
"""Labels that Prometheus adds, and that of a histogram's buckets."""


def exported() -> dict[str, set[str]]:
    """Return the labels of every series that the service exports."""
    series: dict[str, set[str]] = {}
    for instrument in INSTRUMENTS:
        suffixes = ("_bucket", "_sum", "_count") if isinstance(instrument, Histogram) else ("",)
        series.update({instrument.name + suffix: set(instrument.labels) for suffix in suffixes})
    return series


def expressions() -> Iterator[tuple[str, str]]:
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_expression_uses_series_and_labels_that_are_exported(title: str, expression: str) -> None:
    series = exported()
    names = set(NAME.findall(expression))
    assert names <= set(series)
    labels = {label for name in names for label in series[name]} | ADDED
    for name, selector in SELECTOR.findall(expression):
        assert set(LABEL.findall(selector)) <= series[name] | ADDED
    for grouped in BY.findall(expression):
        assert {label.strip() for label in grouped.split(",")} <= labels


def test_every_metric_of_the_service_is_shown_or_alerted() -> None:
    used = {name for _, expression in expressions() for name in NAME.findall(expression)}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    # The version is the variable of the dashboard.
    assert {instrument.name for instrument in INSTRUMENTS} - families <= {"orchestrator_build_info"}


def test_every_alert_says_what_is_wrong_and_what_helps() -> None:
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"info", "warning", "critical"}
            assert all(rule["annotations"][name].endswith(".") for name in ("summary", "description"))


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
