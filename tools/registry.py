"""The registered tools, by name.

DuplicateTool         two tools have the same name
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from spending.accounts import Payer
from tools.base import Tool


class DuplicateTool(ValueError):
    """Two tools have the same name."""


class Registry:
    """Tools by their names, in the order of registration."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self.register(*tools)

    def register(self, *tools: Tool) -> None:
        """Add all of these tools. Raises `DuplicateTool`, and then adds none of them."""
        names = [*self._tools, *(tool.name for tool in tools)]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise DuplicateTool(f"Registered twice: {', '.join(sorted(twice))}. Rename one of each.")
        self._tools.update((tool.name, tool) for tool in tools)

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
