"""The registered tools, by name, and their names on the wire.

DuplicateTool         two tools have the same name
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from spending.accounts import Payer
from tools.base import Tool, ToolsInvalid

MAX_WIRE_CHARACTERS: Final = 64
ODD_CHARACTERS: Final = re.compile(r"[^a-zA-Z0-9_-]")
HASH_CHARACTERS: Final = 8


class DuplicateTool(ToolsInvalid):
    """Two tools have the same name."""


class Registry:
    """Tools by their names, in the order of registration. `version` changes when they do."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self.version = 0
        self.register(*tools)

    def register(self, *tools: Tool) -> None:
        """Add all of these tools. Raises `DuplicateTool`, and then adds none of them."""
        names = [*self._tools, *(tool.name for tool in tools)]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise DuplicateTool(f"Registered twice: {', '.join(sorted(twice))}. Rename one of each.")
        self._tools.update((tool.name, tool) for tool in tools)
        self.version += 1

    def replace(self, tools: Iterable[Tool]) -> None:
        """Register these tools in place of all others, in one step."""
        self._tools = {tool.name: tool for tool in tools}
        self.version += 1

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def at(self, payer: Payer) -> "Registry":
        """Return the same tools for the workspace of a caller; here there is only one."""
        return self

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._tools)

    def matching(self, patterns: Iterable[str]) -> tuple[Tool, ...]:
        """Return the tools whose names match any of the shell patterns (`fs.*`)."""
        patterns = tuple(patterns)
        # The default of every request.
        if patterns == ("*",):
            return tuple(self)
        return tuple(tool for tool in self if any(fnmatchcase(tool.name, pattern) for pattern in patterns))


def wire_name(name: str) -> str:
    """Return a tool's name as services take it, whatever a model made up: `fs_read` for `fs.read`.

    A longer name is cut, and ends with a part of its hash, so that others with the same beginning differ.
    """
    # The services allow letters, digits, underscores and hyphens in the names of functions, but no dots.
    plain = ODD_CHARACTERS.sub("_", name)
    if len(plain) <= MAX_WIRE_CHARACTERS:
        return plain or "unnamed"
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:HASH_CHARACTERS]
    return f"{plain[: MAX_WIRE_CHARACTERS - HASH_CHARACTERS - 1]}_{digest}"


def collisions(names: Iterable[str]) -> dict[str, str]:
    """Return the names whose wire name an earlier one has, with the earlier one."""
    owners: dict[str, str] = {}
    return {name: owner for name in names if (owner := owners.setdefault(wire_name(name), name)) != name}
