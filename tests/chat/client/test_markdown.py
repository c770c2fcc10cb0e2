"""Answers as Markdown at a terminal."""

import io
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.client.markdown import MarkdownOutput, finished

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TEXT = "# Title\n\nA *word* and `code`.\n\n```py\nx = 1\n\ny = 2\n```\n\n1. one\n2. two\n\n<b>tag</b> and [a](https://e.org)\n"


def shown(*pieces: str) -> str:
    """Return what remains on the terminal: what was drawn for a moment is erased."""
    stream = io.StringIO()
    output = MarkdownOutput(stream, width=60)
    for piece in pieces:
        output.write(piece)
    output.end()
    return stream.getvalue()


@given(st.text(alphabet="ab`~# \n-1.", max_size=60))
def test_no_text_is_lost_between_blocks(text: str) -> None:
    done, rest = finished(text)
    assert done + rest == text


@settings(max_examples=20)
@given(st.lists(st.integers(0, len(TEXT)), max_size=6))
def test_answer_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[start:end] for start, end in pairwise(places)]
    words = re.findall(r"\w+", ANSI.sub("", shown(*pieces)))
    assert set(re.findall(r"\w+", TEXT)) - {"py"} <= set(words)


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("a", ""),
        ("a\n\n", "a\n\n"),
        ("```\na\n\n", ""),
        ("```\na\n\n```\n\nb", "```\na\n\n```\n\n"),
        ("a\n\nb\n", "a\n\n"),
    ],
)
def test_block_is_finished_by_a_blank_line_outside_a_fence(text: str, done: str) -> None:
    assert finished(text)[0] == done


def test_html_is_shown_as_text_and_a_link_with_its_address() -> None:
    plain = ANSI.sub("", shown(TEXT))
    assert "<b>tag</b>" in plain
    assert "https://e.org" in plain
    assert "**" not in ANSI.sub("", shown("a **bold** word"))
