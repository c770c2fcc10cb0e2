"""Covers `chat.providers.openai.usage`."""

from typing import Any

import pytest

from chat.engine.model_port import TokensUsed
from chat.providers.openai.usage import UsageReport


def tokens(*usages: Any) -> tuple[int, ...] | None:
    report = UsageReport()
    for usage in usages:
        report.note(usage)
    used = report.tokens()
    if used is None:
        return None
    return (used.input_tokens, used.output_tokens, used.cached_tokens, used.reasoning_tokens)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {},
        "7",
        {"prompt_tokens": None, "completion_tokens": "many"},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": -5, "completion_tokens": True, "prompt_tokens_details": 3},
        {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
    ],
)
def test_usage_without_a_count_is_none(usage: Any) -> None:
    assert tokens(usage) is None


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 5.0, "completion_tokens": "2"}, (5, 2, 0, 0)),
        ({"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}, (5, 2, 4, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 3}, (5, 2, 3, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 3}, (5, 2, 3, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 107}, (5, 102, 0, 100)),
        ({"prompt_tokens": 5, "total_tokens": 107}, (5, 102, 0, 0)),
        ({"completion_tokens": 2, "total_tokens": 107}, (105, 2, 0, 0)),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 9}},
            (5, 11, 0, 9),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 20, "reasoning_tokens": 9, "total_tokens": 25}, (5, 20, 0, 9)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 3}, (5, 2, 0, 0)),
    ],
)
def test_counts_are_read_under_every_name_and_type(usage: Any, counted: tuple[int, ...]) -> None:
    assert tokens(usage) == counted


def test_later_zero_does_not_erase_a_count() -> None:
    assert tokens({"prompt_tokens": 5, "completion_tokens": 2}, {"prompt_tokens": 0, "completion_tokens": 3}) == (
        5,
        3,
        0,
        0,
    )


def test_unknown_counts_are_zero_for_the_engine_to_estimate() -> None:
    report = UsageReport()
    report.note({"prompt_tokens": 5, "completion_tokens": None})
    assert report.tokens() == TokensUsed(input_tokens=5, output_tokens=0)
