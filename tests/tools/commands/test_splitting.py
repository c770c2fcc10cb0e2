"""Splitting of a command as a POSIX shell splits it, and the refusal of shell syntax by name."""

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.base import ToolError
from tools.commands import split
from tools.commands.limits import MAX_ARGUMENT_BYTES, MAX_ARGUMENTS, MAX_COMMAND_CHARS
from tools.commands.words import check_words

PLAIN = {
    "ls": ["ls"],
    "  ls \t -l  ": ["ls", "-l"],
    "echo 'a b' \"c d\" e\\ f": ["echo", "a b", "c d", "e f"],
    "echo 'it'\"'\"'s'": ["echo", "it's"],
    "echo ''": ["echo", ""],
    "echo 'a'b\"c\"": ["echo", "abc"],
    'echo "a\\"b\\\\c\\d"': ["echo", 'a"b\\c\\d'],
    "echo '$HOME `id` * ? [x] | & ; < >'": ["echo", "$HOME `id` * ? [x] | & ; < >"],
    'echo "*.py | & ; < > ( ) ! # ~"': ["echo", "*.py | & ; < > ( ) ! # ~"],
    "echo \\$HOME \\* \\| \\;": ["echo", "$HOME", "*", "|", ";"],
    'echo "\\$HOME"': ["echo", "$HOME"],
    "git show HEAD~1 HEAD^ stash@{0}": ["git", "show", "HEAD~1", "HEAD^", "stash@{0}"],
    "env a=b": ["env", "a=b"],
    "echo x#y a~b a!": ["echo", "x#y", "a~b", "a!"],
    "find . ! -name x": ["find", ".", "!", "-name", "x"],
    "find . '(' -name x ')'": ["find", ".", "(", "-name", "x", ")"],
    "echo {} a{b": ["echo", "{}", "a{b"],
    "echo 'two\nlines'": ["echo", "two\nlines"],
    "ls\n": ["ls"],
    "echo ä 'ö €'": ["echo", "ä", "ö €"],
}
REFUSED = {
    "ls | wc": "a pipe",
    "ls|wc": "a pipe",
    "ls & id": "`&`",
    "ls && id": "`&`",
    "ls;id": "`;`",
    "ls > out": "redirection",
    "ls 2>&1": "redirection",
    "wc < in": "redirection",
    "echo $HOME": "expansion",
    'echo "$HOME"': "expansion",
    "echo $(id)": "expansion",
    'echo "$(id)"': "expansion",
    "echo `id`": "substitution",
    'echo "`id`"': "substitution",
    "(ls)": "subshell",
    "ls )": "subshell",
    "ls *.py": "find -name",
    "ls a?": "glob",
    "ls [ab]": "glob",
    "ls {a,b}": "braces",
    "echo a{1..3}": "braces",
    "ls ~": "home",
    "ls ~root/x": "home",
    "! ls": "`!`",
    "echo !!": "`!`",
    "echo !ls": "`!`",
    "ls # all": "comment",
    "ls\nid": "line's end",
    "ls \\\n-l": "line's end",
    "A=b ls": "assignment",
    "A= ls": "assignment",
    "PATH+=:x ls": "assignment",
}
BROKEN = {
    "": "empty",
    "   ": "empty",
    "''": "empty",
    "echo 'a": "is not closed",
    'echo "a': "is not closed",
    "echo a\\": "backslash",
    "echo a\0b": "NUL",
    "echo \ud800": "surrogate",
    "x" * (MAX_COMMAND_CHARS + 1): str(MAX_COMMAND_CHARS),
    "echo" + " a" * MAX_ARGUMENTS: str(MAX_ARGUMENTS),
}


@pytest.mark.parametrize("command", PLAIN)
def test_plain_words_are_split_as_a_shell_splits_them(command: str) -> None:
    assert list(split(command)) == PLAIN[command]


@pytest.mark.parametrize("command", REFUSED)
def test_shell_syntax_is_rejected_by_name(command: str) -> None:
    with pytest.raises(ToolError) as refusal:
        split(command)

    assert refusal.value.code == "not_allowed"
    assert REFUSED[command] in str(refusal.value)


@pytest.mark.parametrize("command", BROKEN)
def test_malformed_command_is_rejected(command: str) -> None:
    with pytest.raises(ToolError) as refusal:
        split(command)

    assert refusal.value.code == "invalid_params"
    assert BROKEN[command] in str(refusal.value)
    assert len(str(refusal.value)) < 400


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), max_size=4))
def test_quoted_words_survive_a_round_trip(words: list[str]) -> None:
    assert list(split(shlex.join(["echo", *words]))) == ["echo", *words]


@settings(max_examples=40)
@given(st.text("ab\\'\" \t=~#!{},.", max_size=12))
def test_accepted_command_means_the_same_to_a_shell(text: str) -> None:
    try:
        words = split(f"printf '%s\\n' {text}")
    except ToolError:
        return
    shell = subprocess.run(["sh", "-c", f"printf '%s\\n' {text}"], check=False, capture_output=True, timeout=5)

    assert shell.returncode == 0
    assert shell.stdout.decode() == "".join(f"{word}\n" for word in words[2:] or [""])


def test_argument_size_is_limited() -> None:
    assert check_words(["echo", "x" * MAX_ARGUMENT_BYTES])
    with pytest.raises(ToolError, match="bytes: the maximum"):
        check_words(["echo", "x" * (MAX_ARGUMENT_BYTES + 1)])
