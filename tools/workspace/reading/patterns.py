"""Regular expressions and globs from callers, matched in time that is linear in the text.

RE2 does not backtrack, so no pattern can hang the process. It has neither backreferences nor look-around.
Syntax: https://github.com/google/re2/wiki/Syntax
"""

import re
import unicodedata

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

from tools.base import ToolError
from tools.workspace.confinement.paths import shown
from tools.workspace.confinement.resolving import composed

MAX_MEMORY_BYTES = 4 * 1024 * 1024
SPECIAL = re.compile(r"[\\.^$*+?{}()\[\]|\r\n]")
ONE_TEXT_SIGNS = ("\\A", "\\z", "(?")
GLOB_PIECES = re.compile(r"\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|.", re.DOTALL)
GLOB_MEANINGS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class LinePattern:
    """A regular expression that is matched against one line at a time."""

    def __init__(self, text: str, *, ignore_case: bool, max_size: int) -> None:
        """Compile the pattern. Raises `ToolError` (`invalid_params`) if it is invalid or larger than `max_size`."""
        self._line = _compiled(text, f"The pattern {shown(text)}", max_size, ignore_case=ignore_case)
        # Finding a plain text takes a fifth of the time.
        self._plain = None if ignore_case or SPECIAL.search(text) else text.encode()
        # The end of the text, or a group that unsets a flag, would mean something else in many lines at once.
        by_line = any(sign in text.replace("(?:", "") for sign in ONE_TEXT_SIGNS)
        self._lines = (
            None if by_line else _compiled(f"(?m){text}", "The pattern", 2 * max_size, ignore_case=ignore_case)
        )

    def may_be_in(self, run: bytes) -> bool:
        """Return False if certainly no line of the run matches."""
        # One call for thousands of lines: nearly all files of a search have no match.
        if self._plain is not None:
            return self._plain in run
        if self._lines is None:
            return True
        text = run.replace(b"\r\n", b"\n") if b"\r" in run else run
        return self._lines.search(text) is not None

    def find(self, line: bytes) -> int | None:
        """Return the first byte of the match in a line without its end; None if it does not match."""
        match = self._line.search(line)
        return None if match is None else int(match.start())


class Glob:
    """A pattern for paths: `*` `?` `[a-z]` `{a,b}` within a name, `**` across folders.

    Without a slash it is matched only against the last name, in any folder.
    """

    def __init__(self, text: str, max_size: int) -> None:
        """Compile the glob. Raises `ToolError` (`invalid_params`) if its brackets or braces do not match."""
        self.deep = "/" in text
        pattern = _translated(unicodedata.normalize("NFC", text.removeprefix("./")))
        self._pattern = _compiled(pattern, f"The glob {shown(text)}", max_size, ignore_case=False, dot_nl=True)

    def matches(self, names: tuple[str, ...]) -> bool:
        """Return whether a path matches. Its names are relative to the folder of the search."""
        path = "/".join(names if self.deep else names[-1:])
        if path.isascii():
            return self._pattern.fullmatch(path) is not None
        return self._pattern.fullmatch(composed(path).encode("utf-8", "surrogateescape")) is not None


def _compiled(pattern: str, name: str, max_size: int, *, ignore_case: bool, dot_nl: bool = False) -> "re2._Regexp":
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    # The budget of a compiled pattern and of the states that its automaton caches (re2.h).
    options.max_mem = MAX_MEMORY_BYTES
    options.case_sensitive = not ignore_case
    options.dot_nl = dot_nl
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = b" ".join(error.args).decode("utf-8", "replace")
        raise ToolError(
            f"{name} is not valid: {reason}. Use RE2 syntax, which has no look-around and no backreferences.",
            code="invalid_params",
        ) from error
    except UnicodeEncodeError as error:
        raise ToolError(f"{name} holds a lone surrogate: give valid Unicode.", code="invalid_params") from error
    if compiled.programsize > max_size:
        raise ToolError(f"{name} is too large: use smaller repetitions or fewer alternatives.", code="invalid_params")
    return compiled


def _translated(glob: str) -> str:
    """Return the regular expression of a glob. Raises `ToolError` if a brace is not closed."""
    translated: list[str] = []
    open_braces = 0
    for piece in GLOB_PIECES.findall(glob):
        if piece in GLOB_MEANINGS:
            translated.append(GLOB_MEANINGS[piece])
        elif len(piece) > 1:
            members = piece[1:-1]
            negated = members.startswith(("!", "^"))
            escaped = re.sub(r"([\\\[\]^])", r"\\\1", members[negated:])
            # A negated class must not match a slash: a name never crosses a folder.
            translated.append(f"[{'^/' if negated else ''}{escaped}]")
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
