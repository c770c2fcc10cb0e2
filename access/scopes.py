"""What a caller may do: words for the parts of the API, and names or patterns of tools (`fs.read`, `git.*`, `*`)."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

import msgspec

WORDS: Final = {
    "chat": "sessions and runs: start, follow, cancel, read, change",
    "approve": "decide executions that wait for an approval",
    "speech": "audio to text and text to audio, over the endpoints of /speech",
    "audit": "read everything of everybody, and change nothing",
    "keys": "make, list and revoke keys",
}
"""The words, and what each allows."""

TOOLS: Final = "tools"
"""Stands for the pattern `*`: every tool."""

EVERY_TOOL: Final = "*"
MAX_CHARS: Final = 128
MAX_SCOPES: Final = 100
TOOL: Final = re.compile(r"(?=[^.*]*[.*])[a-z0-9_.*-]+")


class ScopeInvalid(ValueError):
    """A text is no scope; it says which are."""


class Scopes(msgspec.Struct, frozen=True, kw_only=True):
    """Words, and patterns of tools' names."""

    words: frozenset[str] = frozenset()
    tools: tuple[str, ...] = ()

    def may(self, word: str) -> bool:
        return word in self.words

    def may_use(self, tool: str) -> bool:
        return any(fnmatchcase(tool, pattern) for pattern in self.tools)

    def covers(self, others: "Scopes") -> bool:
        """Whether all of the others are in these. A pattern holds another one whose text it matches."""
        return others.words <= self.words and all(map(self.may_use, others.tools))

    def texts(self) -> list[str]:
        """As an operator writes them."""
        tools = [TOOLS if pattern == EVERY_TOOL else pattern for pattern in self.tools]
        return [*(word for word in WORDS if word in self.words), *tools]


def scopes(texts: Iterable[str]) -> Scopes:
    """The scopes that the texts say. Raises `ScopeInvalid`."""
    given = [text.strip() for text in texts]
    if len(given) > MAX_SCOPES:
        raise ScopeInvalid(f"A key has at most {MAX_SCOPES} scopes.")
    words = frozenset(text for text in given if text in WORDS)
    patterns = {_pattern(text) for text in given if text not in WORDS}
    if not words and not patterns:
        raise ScopeInvalid(f"Give at least one scope: {_valid()}.")
    return Scopes(words=words, tools=(EVERY_TOOL,) if EVERY_TOOL in patterns else tuple(sorted(patterns)))


def _pattern(text: str) -> str:
    if text == TOOLS:
        return EVERY_TOOL
    if len(text) > MAX_CHARS or not TOOL.fullmatch(text):
        raise ScopeInvalid(f"{text[:MAX_CHARS]!a} is no scope; there are {_valid()}.")
    return text


def _valid() -> str:
    return f"{', '.join(WORDS)}, {TOOLS}, and names or patterns of tools such as fs.read or git.*"


ALL: Final = scopes([*WORDS, TOOLS])
NONE: Final = Scopes()
DEFAULT: Final = scopes(["chat", "approve", "speech", TOOLS])
"""Of a key for which none are said."""
