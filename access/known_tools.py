"""The names of the tools that there are, from the app that has them: so that no key is made for a misspelt one."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from access.scopes import EVERY_TOOL, Scopes

_sources: list[Callable[[], Sequence[str]]] = []


def come_from(source: Callable[[], Sequence[str]]) -> None:
    """Asks `source` whenever a key for tools is made; it gives nothing where it can't tell."""
    _sources.append(source)


def unknown(scopes: Scopes) -> str:
    """What is wrong with the patterns of tools; empty where each is about a tool, or none is known."""
    if not [pattern for pattern in scopes.tools if pattern != EVERY_TOOL]:
        return ""
    names = [name for source in _sources for name in source()]
    return _told(scopes.tools, names) if names else ""


def _told(patterns: Iterable[str], names: Sequence[str]) -> str:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            return f"{pattern} is about no tool; there are {', '.join(names)}."
    return ""
