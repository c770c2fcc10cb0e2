"""A command's text as the words that a POSIX shell would make of it, where those are plain words.

Source: POSIX.1-2017, Shell Command Language, 2.2 (quoting) and 2.3 (tokens). There is no shell behind this: what one
would act upon is refused by its name, so that no command means something else here than it seems to.

Quotes and backslashes work. Outside quotes these are refused anywhere: ``| & ; < > ( ) $ ` * ? [`` and a newline; `{`
where a list or a range in braces follows (`{a,b}`, `{1..3}`); `!` before another character; `~` and `#` where a word
begins; `NAME=value` before the program. Elsewhere they are plain characters, as in `HEAD~1`, `HEAD@{1}`, `a=b` and
`x#y`. Inside double quotes `$` and the backtick are refused.
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
    """The words of a command. Raises `ToolError`: `invalid_params`, `not_allowed`."""
    if len(command) > MAX_COMMAND_CHARS:
        raise ToolError(
            f"The command is {len(command)} characters long: at most {MAX_COMMAND_CHARS} are possible; more may come "
            "as argv.",
            code="invalid_params",
        )
    check_text(command)
    text = command.strip(" \t\r\n")
    if ASSIGNMENT.match(text):
        raise ToolError(
            f"{shown(text)} begins with an assignment: there is no shell, and the environment is fixed. Begin with the "
            "program.",
            code="not_allowed",
        )
    return check_words(_Words(text).all())


class _Words:
    """A text on the way to its words."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def all(self) -> list[str]:
        words: list[str] = []
        while self._skip_blanks():
            words.append(self._word())
        return words

    def _skip_blanks(self) -> bool:
        """Whether a word follows."""
        while self._at < len(self._text) and self._text[self._at] in BLANK:
            self._at += 1
        return self._at < len(self._text)

    def _word(self) -> str:
        start = self._at
        pieces: list[str] = []
        while self._at < len(self._text) and self._text[self._at] not in BLANK:
            pieces.append(self._piece(start))
        return "".join(pieces)

    def _piece(self, start: int) -> str:
        character = self._text[self._at]
        self._at += 1
        if character == "'":
            return self._until("'")
        if character == '"':
            return self._double_quoted()
        if character == "\\":
            return self._escaped()
        self._check(character, start)
        return character

    def _check(self, character: str, start: int) -> None:
        """Raises `ToolError` for an unquoted character that a shell would act upon."""
        at = self._at - 1
        following = self._text[self._at : self._at + 1]
        if (
            character in ANYWHERE
            or (character in AT_THE_START and at == start)
            or (character == "!" and (at == 0 or following not in {"", " ", "\t"}))
            or (character == "{" and BRACES.match(self._text, at))
        ):
            raise _refusal(character)

    def _until(self, quote: str) -> str:
        end = self._text.find(quote, self._at)
        if end < 0:
            raise _open_quote(quote)
        inside = self._text[self._at : end]
        self._at = end + 1
        return inside

    def _double_quoted(self) -> str:
        inside: list[str] = []
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == '"':
                return "".join(inside)
            if character in IN_DOUBLE_QUOTES:
                raise _refusal(character, " in double quotes")
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
    return ToolError(f"A {quote} is opened and never closed: close it, or escape it.", code="invalid_params")
