"""The tools that there are, by name.

DuplicateTool         two tools want the same name
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from tools.base import Tool


class DuplicateTool(ValueError):
    """Two tools want the same name."""


class Registry:
    """An object of names and tools. Registration is all or nothing."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self.register(*tools)

    def register(self, *tools: Tool) -> None:
        """Adds tools. Raises `DuplicateTool` and adds none."""
        names = [*self._tools, *(tool.name for tool in tools)]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise DuplicateTool(f"Registered twice: {', '.join(sorted(twice))}.")
        self._tools.update((tool.name, tool) for tool in tools)

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._tools)

    def matching(self, patterns: Iterable[str]) -> tuple[Tool, ...]:
        """The tools whose names match any of the shell patterns (`fs.*`)."""
        patterns = tuple(patterns)
        if patterns == ("*",):
            return tuple(self)
        return tuple(tool for tool in self if any(fnmatchcase(tool.name, pattern) for pattern in patterns))
