"""Counting in memory."""

import pytest

from telemetry import instruments
from telemetry.instruments import MAX_ROWS, Counter, Gauge, Histogram, Names, add_rows


def test_counter_has_one_number_per_set_of_labels() -> None:
    counter = Counter("seen_total", "Seen.", ("kind",))
    counter.add("a")
    counter.add("a", amount=2.5)
    counter.add("b")
    assert counter.rows() == {("a",): [3.5], ("b",): [1.0]}


def test_gauge_is_moved_or_read() -> None:
    gauge = Gauge("open", "Open.")
    gauge.add(2)
    gauge.add(-1)
    assert gauge.rows() == {(): [1.0]}
    gauge.read = lambda: 7
    assert gauge.rows() == {(): [7]}


def test_histogram_counts_a_value_in_its_first_fitting_bucket() -> None:
    histogram = Histogram("took_seconds", "Took.", bounds=(0.1, 1.0))
    for value in (0.1, 0.5, 1.0, 2.0):
        histogram.add(value)
    assert histogram.rows() == {(): [1, 2, 1, 3.6]}


def test_returned_rows_do_not_change() -> None:
    counter = Counter("seen_total", "Seen.")
    counter.add()
    before = counter.rows()
    counter.add()
    assert before == {(): [1.0]}


def test_label_sets_beyond_the_limit_are_counted_as_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "MAX_ROWS", 2)
    counter = Counter("seen_total", "Seen.", ("kind", "place"))
    for name in ("a", "b", "c", "d", "a"):
        counter.add(name, "here")
    assert counter.rows() == {("a", "here"): [2], ("b", "here"): [1], ("other", "other"): [2]}
    assert MAX_ROWS >= 100


def test_only_real_names_within_the_limit_become_labels() -> None:
    names = Names(2)
    assert names.label("made up", is_real=False) == "other"
    assert [names.label(name, is_real=True) for name in ("a", "b", "c")] == ["a", "b", "other"]
    assert names.label("a", is_real=False) == "a"


def test_rows_are_added_number_by_number() -> None:
    sums = {("a",): [1.0, 2.0]}
    add_rows(sums, {("a",): [1.0, 1.0], ("b",): [5.0, 0.0]})
    assert sums == {("a",): [2.0, 3.0], ("b",): [5.0, 0.0]}
