import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from chat.models import Message, Run
from storage import sanitize

NEST = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(some.characters()),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(some.characters()), inner, max_size=3),
    max_leaves=8,
)


def fitted(name: str, value: Any) -> Any:
    fit = sanitize.sanitizer(Message._meta.get_field(name))
    assert fit
    return fit(value)


def test_only_unstorable_characters_of_a_text_are_replaced() -> None:
    assert fitted("content", "a\x00b \ud800 \U0001f600 é") == "a\ufffdb \ufffd \U0001f600 é"
    assert fitted("content", "\ud83d\ude00") == "\U0001f600"
    assert fitted("content", "x" * 100_000) == "x" * 100_000


def test_text_is_truncated_to_its_column() -> None:
    assert fitted("call_id", "é" * 300) == "é" * 255
    assert fitted("tool", "x" * 128) == "x" * 128


@pytest.mark.parametrize(
    ("value", "kept"), [(-1, 0), (0, 0), (2**31 - 1, 2**31 - 1), (2**31, 2**31 - 1), (2**80, 2**31 - 1)]
)
def test_count_is_clamped_to_its_column(value: int, kept: int) -> None:
    assert fitted("input_tokens", value) == kept


def test_column_that_accepts_every_value_has_no_sanitizer() -> None:
    assert sanitize.sanitizer(Run._meta.get_field("created")) is None
    assert sanitize.sanitizer(Run._meta.get_field("cost_usd")) is None


def test_invalid_parts_of_a_document_are_replaced() -> None:
    said = {"a\x00": ["\ud800", "é\U0001f600", {"n": float("nan"), "i": float("-inf")}], "b": "\\u0000", "c": "NaN"}
    assert json.loads(sanitize.document(said)) == {
        "a\ufffd": ["\ufffd", "é\U0001f600", {"n": None, "i": None}],
        "b": "\\u0000",
        "c": "NaN",
    }


@given(NEST)
def test_every_document_becomes_json_that_postgresql_accepts(value: Any) -> None:
    kept = sanitize.document(value)
    kept.encode()
    assert "\x00" not in str(json.loads(kept))
    assert json.loads(kept) == json.loads(json.dumps(sanitize.clean(value)))


@given(some.text(some.characters()))
def test_every_text_becomes_unicode_without_nul(value: str) -> None:
    kept = sanitize.text(value)
    assert "\x00" not in kept
    kept.encode()
