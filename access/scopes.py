"""Scopes: words for parts of the API, and names or patterns of tools (`fs.read`, `git.*`, `*`)."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

import msgspec

WORDS: Final = {
    "chat": "sessions and runs: start, follow, cancel, read, change",
    "approve": "decide executions that wait for an approval",
    "speech": "audio to text and text to audio, over the endpoints of /speech",
    "files.read": "list and download files over /workspace, and see the changes of runs",
    "files.write": "upload and remove files over /workspace, and undo the changes of runs",
    "audit": "read the records of all owners, and change nothing",
    "reasoning": "read what models wrote before their answers",
    "keys": "create, list and revoke keys",
}
"""The words, and what each permits."""

TOOLS: Final = "tools"
"""Another spelling of the pattern `*`: every tool."""

EVERY_TOOL: Final = "*"
MAX_CHARS: Final = 128
MAX_SCOPES: Final = 100
TOOL: Final = re.compile(r"(?=[^.*]*[.*])[a-z0-9_.*-]+")


class ScopeInvalid(ValueError):
    """The text is not a scope; the message lists the valid ones."""


class Scopes(msgspec.Struct, frozen=True, kw_only=True):
    """A set of words, and patterns of tool names."""

    words: frozenset[str] = frozenset()
    tools: tuple[str, ...] = ()

    def may(self, word: str) -> bool:
        return word in self.words

    def may_use(self, tool: str) -> bool:
        return any(fnmatchcase(tool, pattern) for pattern in self.tools)

    def covers(self, others: "Scopes") -> bool:
        """Return whether these include all other scopes. A pattern includes another one whose text it matches."""
        return others.words <= self.words and all(map(self.may_use, others.tools))

    def texts(self) -> list[str]:
        """Return the scopes as an operator writes them."""
        tools = [TOOLS if pattern == EVERY_TOOL else pattern for pattern in self.tools]
        return [*(word for word in WORDS if word in self.words), *tools]


def scopes(texts: Iterable[str]) -> Scopes:
    """Parse scopes. Raises `ScopeInvalid`."""
    given = [text.strip() for text in texts]
    if len(given) > MAX_SCOPES:
        raise ScopeInvalid(f"A key has at most {MAX_SCOPES} scopes.")
    words = frozenset(text for text in given if text in WORDS)
    patterns = {EVERY_TOOL if text == TOOLS else text for text in given if text not in WORDS}
    for text in given:
        is_pattern = text == TOOLS or (len(text) <= MAX_CHARS and TOOL.fullmatch(text))
        if text not in WORDS and not is_pattern:
            raise ScopeInvalid(f"{text[:MAX_CHARS]!a} is not a scope. Valid scopes: {_valid()}.")
    if not words and not patterns:
        raise ScopeInvalid(f"Give at least one scope: {_valid()}.")
    return Scopes(words=words, tools=(EVERY_TOOL,) if EVERY_TOOL in patterns else tuple(sorted(patterns)))


def _valid() -> str:
    return f"{', '.join(WORDS)}, {TOOLS}, and names or patterns of tools such as fs.read or git.*"


ALL: Final = scopes([*WORDS, TOOLS])
NONE: Final = Scopes()
DEFAULT: Final = scopes(["chat", "approve", "speech", "files.read", "files.write", TOOLS])
"""The scopes of a key that is created without any."""
