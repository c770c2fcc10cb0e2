import pytest

from speech.audio.text_chunks import split_sentences, split_text


def test_text_is_split_into_sentences() -> None:
    text = 'First one. "Is this the second?" Yes!\n\nA new paragraph\nwith a line break'
    assert list(split_sentences(text, 100)) == [
        "First one.",
        '"Is this the second?',
        "Yes!",
        "A new paragraph with a line break",
    ]


def test_languages_without_spaces_are_split_too() -> None:
    assert list(split_sentences("你好。今天天气很好。", 100)) == ["你好。", "今天天气很好。"]


@pytest.mark.parametrize("text", ["word " * 1_000, "x" * 5_000, "a, b; " * 900, "x. " * 2_000, "x" * 299 + ". y"])
def test_no_piece_exceeds_the_limit_and_none_is_lost(text: str) -> None:
    for made in (list(split_sentences(text, 300)), list(split_text(text, 300))):
        assert max(map(len, made)) <= 300
        assert "".join("".join(made).split()) == "".join(text.split())


def test_short_text_is_not_split() -> None:
    assert split_text("One.  Two.\n", 100) == ("One.  Two.\n",)
    assert split_text("   ", 1) == ()


@pytest.mark.parametrize("unit", [" ", "\u00a0", "\n", ", ", '."', "。", "- "])
def test_long_run_of_white_space_or_marks_is_split_in_linear_time(unit: str) -> None:
    text = "One." + unit * 300_000 + "Two."
    made = list(split_sentences(text, 300))
    assert made[0].startswith("One.")
    assert made[-1].endswith("Two.")
