import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.strict_json import NotJson, loads

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(VALUES, st.booleans())
def test_json_is_decoded_unchanged(value: object, ascii_only: bool) -> None:
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "not UTF-8"),
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b"[NaN]", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"[1e999]", "too large"),
        (b'["\\u0000"]', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'["\\ud800"]', "half of a surrogate pair"),
        (b"[" * 100_000, "nested too deeply"),
        (b"{" + b'"a":{' * 90_000, "nested too deeply"),
        (b"[" + b"0," * 100_000 + b"0]", "too many values"),
        (b"[" + b'"",' * 300_000 + b'""]', "too many values"),
        (b"[1", "not JSON"),
        (b"", "not JSON"),
        (b"[" + b"1" * 10_000 + b"]", "not JSON"),
    ],
)
def test_ambiguous_json_is_rejected(data: bytes, said: str) -> None:
    with pytest.raises(NotJson, match=said):
        loads(data)


def test_escaped_surrogate_pair_is_one_character() -> None:
    assert loads(rb'["\ud83d\ude00", "\\u0000"]') == ["😀", r"\u0000"]


@pytest.mark.parametrize("text", [",[{" * 200_000, '\\",' * 200_000, "\\\\,[" * 200_000])
def test_marks_in_a_string_are_no_values(text: str) -> None:
    assert loads(json.dumps([text, 1]).encode()) == [text, 1]
