import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.engine.events import End, Token, TotalUsage, Usage
from chat.engine.transcript import add_usage, decode_pieces, fold


def usage(cost: float | None, *, estimated: bool = False) -> Usage:
    return Usage(
        input_tokens=2, output_tokens=3, cached_tokens=1, reasoning_tokens=1, cost_usd=cost, estimated=estimated
    )


def test_events_fold_into_text_usage_and_end() -> None:
    end = End(reason="completed", run_id="r", session_id=None, usage=TotalUsage())
    folded = fold([Token(token="a"), usage(0.5), Token(token="b"), usage(0.25), end])
    assert (folded.text, folded.usage.input_tokens, folded.usage.cost_usd) == ("ab", 4, 0.75)
    assert folded.terminal is end
    assert fold([]).terminal is None


@pytest.mark.parametrize("costs", [(None, 0.5), (0.5, None), (None, None)])
def test_total_cost_is_unknown_if_any_part_is_unknown(costs: tuple[float | None, ...]) -> None:
    total = TotalUsage()
    for cost in costs:
        total = add_usage(total, usage(cost))
    assert total.cost_usd is None


def test_total_with_an_estimate_is_an_estimate() -> None:
    assert add_usage(add_usage(TotalUsage(), usage(None, estimated=True)), usage(None)).estimated


@given(st.lists(st.text()))
def test_pieces_of_a_json_string_decode_to_its_text(texts: list[str]) -> None:
    whole = "".join(texts).replace("\x00", "\ufffd")
    for ascii_only in (True, False):
        pieces = [json.dumps(text, ensure_ascii=ascii_only).encode()[1:-1] for text in texts]
        assert decode_pieces(pieces) == whole


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([rb"\ud83d", rb"\ude00"], "😀"),
        ([rb"a\ud83d", b"b"], "a\ufffdb"),
        ([rb"\ude00"], "\ufffd"),
        ([rb"a\u0000b"], "a\ufffdb"),
        ([rb"\\u0000"], r"\u0000"),
    ],
)
def test_characters_that_no_database_stores_are_replaced(pieces: list[bytes], text: str) -> None:
    assert decode_pieces(pieces) == text
