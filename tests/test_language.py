"""The language of the project: first words, words that are not used, and the length of sentences."""

from pathlib import Path

import pytest

from scripts import prose
from scripts.source import ROOT, Module


def problems(tmp_path: Path, source: str, name: str = "module.py") -> list[str]:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return [str(finding) for finding in prose.findings([path], tmp_path)]


def test_project_breaks_no_rule_of_its_language() -> None:
    found = prose.findings(prose.project_paths())
    assert not found, "\n" + "\n".join(str(finding) for finding in found)


@pytest.mark.parametrize("word", ["What", "Whose", "Whoever", "That", "Those", "One's", "Of", "So", "As", "Where"])
def test_docstring_opener_is_reported_with_its_line(tmp_path: Path, word: str) -> None:
    found = problems(tmp_path, f'def kept():\n    """{word} a run has."""\n')
    assert f"module.py:2: the docstring starts with {word!r}; start with a verb or the thing's own name" in found


def test_docstring_of_a_constant_is_checked(tmp_path: Path) -> None:
    assert len(problems(tmp_path, 'LIMIT = 1\n"""What a run may have."""\n')) == 1


@pytest.mark.parametrize("text", ["Return the rows.", "A run's rows.", "`GET /tools`.", "Whatsoever"])
def test_docstring_that_starts_with_a_verb_or_a_name_passes(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, f'"""{text}"""\n') == []


@pytest.mark.parametrize(
    "phrase",
    [
        "Close it for whoever asks",
        "Return it to nobody",
        "Report a run as it goes on",
        "Return all but for the last",
        "List the tools that there are",
        "Return true if it is no number",
        "Accept the key alone",
        "Open the door",
        "Reserve from the purse",
        "Close a run that is told of",
    ],
)
def test_phrase_is_reported_in_docstrings_comments_and_messages(tmp_path: Path, phrase: str) -> None:
    found = problems(tmp_path, f'"""{phrase}."""\n\n# {phrase}.\nraise ValueError(f"{phrase}: {{1}}")\n')
    assert [line.split(":")[1] for line in found] == ["1", "3", "4"]


def test_phrase_is_reported_across_a_line_break(tmp_path: Path) -> None:
    assert problems(tmp_path, 'def run():\n    """Let a run go\n    on."""\n') == [
        "module.py:2: 'go on'; write: continue"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "If there is no key.",
        "Is no longer open.",
        "Tell two keys apart.",
        "A stand-alone script.",
        "Check that there is room.",
        "Doorstep, foregoing.",
    ],
)
def test_standard_english_near_a_phrase_passes(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, f'"""{text}"""\n') == []


@pytest.mark.parametrize(
    "source",
    [
        "class ToolDoor:\n    pass\n",
        "def purse_of(key):\n    pass\n",
        "def kept(told):\n    pass\n",
        "MOST_BYTES = 1\n",
        "kept.door = 1\n",
        "import os as clerk\n",
    ],
)
def test_name_is_reported_where_it_is_defined(tmp_path: Path, source: str) -> None:
    (line,) = problems(tmp_path, source)
    assert line.startswith("module.py:1: ")


@pytest.mark.parametrize("source", ["most_recent = 1\n", "MAX_MOST = 1\n", "indoors = 1\n", "print(kept.door)\n"])
def test_name_that_only_resembles_one_passes(tmp_path: Path, source: str) -> None:
    assert problems(tmp_path, source) == []


def test_module_name_is_reported(tmp_path: Path) -> None:
    assert problems(tmp_path, "", "door.py") == ["door.py:1: 'door' in 'door'; write: authenticator, executor"]


def test_sentence_of_26_words_is_reported_in_docstrings_and_messages(tmp_path: Path) -> None:
    words = " ".join(["word"] * 25)
    source = '"""Short.\n\nAll {words}.\n"""\nraise ValueError("All {words}.")\n'
    assert problems(tmp_path, source.replace("{words}", words)) == [
        "module.py:3: a sentence of 26 words (at most 25): All word word word word word ...",
        "module.py:5: a sentence of 26 words (at most 25): All word word word word word ...",
    ]
    assert problems(tmp_path, source.replace("{words}", words.removesuffix(" word"))) == []


def test_items_of_a_list_and_examples_are_not_one_sentence(tmp_path: Path) -> None:
    items = "\n".join(f"- item {number} of a list" for number in range(9))
    example = "    " + " ".join(["word"] * 40)
    assert problems(tmp_path, f'"""Head:\n\n{items}\n\n{example}\n"""\n') == []


def test_strings_of_tests_and_sql_are_data(tmp_path: Path) -> None:
    assert problems(tmp_path, 'assert say("Let it go on")\n', "tests/test_kept.py") == []
    assert problems(tmp_path, 'execute("SELECT told, nobody FROM runs")\n') == []


def test_document_is_checked_for_phrases(tmp_path: Path) -> None:
    found = problems(tmp_path, "# Title\n\nOpen the door.\n", "README.md")
    assert found == ["README.md:3: 'door'; write: authenticator, executor"]


def test_command_lists_findings_and_exits_with_1_only_if_there_are_any(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prose.main([str(ROOT / "scripts" / "source.py")]) == 0
    assert capsys.readouterr().out == "0 findings\n"
    monkeypatch.setattr(prose, "MAX_SENTENCE_WORDS", 5)
    assert prose.main([str(ROOT / "scripts" / "source.py")]) == 1
    assert "scripts/source.py:1: a sentence of " in capsys.readouterr().out


def test_comments_exclude_directives_to_tools(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text('"""Head."""\nkept = 1  # noqa: E501\nkept = 2  # Two is the lowest limit.\n', encoding="utf-8")
    module = Module(path, tmp_path)
    assert [comment.line for comment in module.comments] == [3]
    assert module.code_lines == 2
