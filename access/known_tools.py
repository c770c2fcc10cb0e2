"""The names of the known tools, so that a key with a misspelt tool scope is rejected."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from access.scopes import EVERY_TOOL, Scopes

# The app `tools` registers a source, because this app may not import it.
_sources: list[Callable[[], Sequence[str]]] = []


def come_from(source: Callable[[], Sequence[str]]) -> None:
    """Register a function that returns tool names, or nothing if it cannot know them."""
    _sources.append(source)


def unknown(scopes: Scopes) -> str:
    """Return an error about the first pattern that matches no tool; empty if all match, or no tool is known."""
    if not [pattern for pattern in scopes.tools if pattern != EVERY_TOOL]:
        return ""
    names = [name for source in _sources for name in source()]
    for pattern in scopes.tools if names else ():
        if not any(fnmatchcase(name, pattern) for name in names):
            return f"{pattern} matches no tool. Valid names: {', '.join(names)}."
    return ""
