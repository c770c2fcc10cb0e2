"""Regular expressions and globs from outside, matched in time that is linear in the text.

RE2 has no backtracking, so that no pattern can hang the process; in exchange it knows neither backreferences nor
look-around. Its syntax: https://github.com/google/re2/wiki/Syntax
"""

import re

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

from tools.base import ToolError
from tools.workspace.confinement.paths import shown

MAX_MEMORY_BYTES = 4 * 1024 * 1024
ONE_TEXT_SIGNS = ("\\A", "\\z", "(?")
GLOB_PIECES = re.compile(r"\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|.", re.DOTALL)
GLOB_MEANINGS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class LinePattern:
    """A regular expression that is looked for in one line at a time."""

    def __init__(self, text: str, *, ignore_case: bool, max_size: int) -> None:
        """Raises `ToolError` (`invalid_params`) for a pattern that is none, or compiles to over `max_size` steps."""
        self._line = _compiled(text, f"The pattern {shown(text)}", max_size, ignore_case=ignore_case)
        # A text's end, or a group that unsets a flag, would mean another thing among many lines.
        alone = any(sign in text.replace("(?:", "") for sign in ONE_TEXT_SIGNS)
        self._lines = None if alone else _compiled(f"(?m){text}", "The pattern", 2 * max_size, ignore_case=ignore_case)

    def may_be_in(self, run: bytes) -> bool:
        """False where no line of the run matches: one call instead of one for each line."""
        if self._lines is None:
            return True
        text = run.replace(b"\r\n", b"\n") if b"\r" in run else run
        return self._lines.search(text) is not None

    def find(self, line: bytes) -> int | None:
        """The byte at which the line (without its end) matches first; None where it does not."""
        match = self._line.search(line)
        return None if match is None else int(match.start())


class Glob:
    """A pattern for paths: `*` `?` `[a-z]` `{a,b}` within a name, `**` across folders.

    Without a slash it is for the last name alone, whatever folder that lies in.
    """

    def __init__(self, text: str, max_size: int) -> None:
        """Raises `ToolError` (`invalid_params`) for a glob whose brackets or braces do not match."""
        self.deep = "/" in text
        pattern = _translated(text.removeprefix("./"))
        self._pattern = _compiled(pattern, f"The glob {shown(text)}", max_size, ignore_case=False, dot_nl=True)

    def matches(self, names: tuple[str, ...]) -> bool:
        """Whether it is for the path of these names, which are relative to the folder that is looked through."""
        path = "/".join(names if self.deep else names[-1:])
        return self._pattern.fullmatch(path.encode("utf-8", "surrogateescape")) is not None


def _compiled(pattern: str, name: str, max_size: int, *, ignore_case: bool, dot_nl: bool = False) -> "re2._Regexp":
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MAX_MEMORY_BYTES
    options.case_sensitive = not ignore_case
    options.dot_nl = dot_nl
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = b" ".join(error.args).decode("utf-8", "replace")
        raise ToolError(
            f"{name} is not valid: {reason}. RE2 syntax is understood, which has no look-around and no backreferences.",
            code="invalid_params",
        ) from error
    except UnicodeEncodeError as error:
        raise ToolError(f"{name} holds a lone surrogate: give valid Unicode.", code="invalid_params") from error
    if compiled.programsize > max_size:
        raise ToolError(f"{name} is too large: use smaller repetitions or fewer alternatives.", code="invalid_params")
    return compiled


def _translated(glob: str) -> str:
    """The regular expression of a glob. Raises `ToolError` for a brace that is not closed."""
    translated: list[str] = []
    open_braces = 0
    for piece in GLOB_PIECES.findall(glob):
        if piece in GLOB_MEANINGS:
            translated.append(GLOB_MEANINGS[piece])
        elif len(piece) > 1:
            translated.append(_character_class(piece[1:-1]))
        elif piece == "{":
            open_braces += 1
            translated.append("(?:")
        elif piece in ",}" and open_braces:
            open_braces -= piece == "}"
            translated.append("|" if piece == "," else ")")
        else:
            translated.append(re.escape(piece))
    if open_braces:
        raise ToolError(f"The glob {shown(glob)} has a '{{' without its '}}'.", code="invalid_params")
    return "".join(translated)


def _character_class(members: str) -> str:
    negated = members.startswith(("!", "^"))
    escaped = re.sub(r"([\\\[\]^])", r"\\\1", members[negated:])
    return f"[{'^/' if negated else ''}{escaped}]"
