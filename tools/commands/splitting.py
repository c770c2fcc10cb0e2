"""Splitting a command into words, as a POSIX shell does for plain words.

Source: POSIX.1-2017, Shell Command Language, 2.2 (quoting) and 2.3 (tokens). There is no shell. Whatever a shell would
interpret is refused by its name, so a command never means something else than in a shell.

Quotes and backslashes work. These are refused outside quotes:

- ``| & ; < > ( ) $ ` * ? [`` and a newline, anywhere
- `{` before a list or a range (`{a,b}`, `{1..3}`)
- `!` before another character
- `~` and `#` at the start of a word
- `NAME=value` before the program

Elsewhere they are plain characters, as in `HEAD~1`, `HEAD@{1}`, `a=b` and `x#y`. Inside double quotes `$` and the
backtick are refused.
"""

import re

from tools.base import ToolError
from tools.commands.limits import MAX_COMMAND_CHARS
from tools.commands.words import check_text, check_words, shown

ONE_PROGRAM = "one call runs one program, and both of its streams come back"
REFUSED = {
    "|": ("a pipe", f"{ONE_PROGRAM}: filter with the program's own options"),
    "&": ("the shell's `&`", f"{ONE_PROGRAM}: make another call for another command"),
    ";": ("the shell's `;`", f"{ONE_PROGRAM}: make another call for another command"),
    "<": ("a redirection", "name the file as an argument"),
    ">": ("a redirection", "output comes back as the result; to write a file use fs.write"),
    "(": ("a subshell", "quote it where it is meant as a character, as in find's '('"),
    ")": ("a subshell", "quote it where it is meant as a character, as in find's ')'"),
    "$": ("an expansion", "write the value itself, or put it in single quotes"),
    "`": ("a substitution", "write the value itself, or put it in single quotes"),
    "*": ("a glob", "quote it where a program takes patterns, or use find -name '*.py'"),
    "?": ("a glob", "quote it where a program takes patterns, or use find -name 'a?.py'"),
    "[": ("a glob", "quote it where a program takes patterns, or use find -name '[ab].py'"),
    "\n": ("a line's end", f"{ONE_PROGRAM}: make another call for another command"),
    "{": ("a list in braces", "write the words out, or quote it"),
    "!": ("the shell's `!`", "quote it where it is meant as a character"),
    "~": ("a home folder", "give a path that is relative to the workspace"),
    "#": ("a comment", "leave it out, or quote it"),
}
ANYWHERE = frozenset("|&;<>()$`*?[\n")
AT_THE_START = frozenset("~#")
IN_DOUBLE_QUOTES = frozenset("$`")
ESCAPED_IN_DOUBLE_QUOTES = frozenset('$`"\\')
BLANK = frozenset(" \t")
BRACES = re.compile(r"\{[^{}\s]*(,|\.\.)[^{}\s]*\}")
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")


def split(command: str) -> tuple[str, ...]:
    """Return the words of a command. Raises `ToolError`: `invalid_params`, `not_allowed`."""
    if len(command) > MAX_COMMAND_CHARS:
        raise ToolError(
            f"The command has {len(command)} characters: the maximum is {MAX_COMMAND_CHARS}. Use argv for more.",
            code="invalid_params",
        )
    check_text(command)
    text = command.strip(" \t\r\n")
    if ASSIGNMENT.match(text):
        raise ToolError(
            f"{shown(text)} starts with an assignment: there is no shell, and the environment is fixed. Start with the "
            "program.",
            code="not_allowed",
        )
    return check_words(_Words(text).all())


class _Words:
    """The tokeniser of a command."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def all(self) -> list[str]:
        """Return the words. Raises `ToolError`."""
        words: list[str] = []
        while self._at < len(self._text):
            if self._text[self._at] in BLANK:
                self._at += 1
                continue
            start = self._at
            pieces: list[str] = []
            while self._at < len(self._text) and self._text[self._at] not in BLANK:
                pieces.append(self._piece(start))
            words.append("".join(pieces))
        return words

    def _piece(self, start: int) -> str:
        """Return a quoted text, an escaped character or a plain one of the word that begins at `start`."""
        at = self._at
        character = self._text[at]
        self._at += 1
        if character == "'":
            end = self._text.find("'", self._at)
            if end < 0:
                raise _open_quote("'")
            self._at = end + 1
            return self._text[at + 1 : end]
        if character == '"':
            return self._double_quoted()
        if character == "\\":
            return self._escaped()
        following = self._text[self._at : self._at + 1]
        if (
            character in ANYWHERE
            or (character in AT_THE_START and at == start)
            or (character == "!" and (at == 0 or following not in {"", " ", "\t"}))
            or (character == "{" and BRACES.match(self._text, at))
        ):
            raise _refusal(character)
        return character

    def _double_quoted(self) -> str:
        inside: list[str] = []
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == '"':
                return "".join(inside)
            if character in IN_DOUBLE_QUOTES:
                raise _refusal(character, " in double quotes")
            # POSIX 2.2.3: before any other character, a backslash in double quotes is itself.
            if character == "\\" and self._text[self._at : self._at + 1] in ESCAPED_IN_DOUBLE_QUOTES:
                character = self._text[self._at]
                self._at += 1
            inside.append(character)
        raise _open_quote('"')

    def _escaped(self) -> str:
        character = self._text[self._at : self._at + 1]
        if not character:
            raise ToolError(
                "The command ends with a backslash: write the character after it, or '\\\\' for a backslash.",
                code="invalid_params",
            )
        if character == "\n":
            raise _refusal(character)
        self._at += 1
        return character


def _refusal(character: str, where: str = "") -> ToolError:
    name, advice = REFUSED[character]
    return ToolError(
        f"{shown(character)}{where} is {name}, and there is no shell: {advice}.",
        code="not_allowed",
    )


def _open_quote(quote: str) -> ToolError:
    return ToolError(f"A {quote} is not closed: close it, or escape it.", code="invalid_params")
