"""The taint of a conversation: the sources of the texts from outside that it holds."""

from collections.abc import Callable, Mapping

from tools.base import TaintSource

Store = Callable[[Mapping[TaintSource, str]], None]


def store_nothing(_: Mapping[TaintSource, str]) -> None:
    """Keep the taint in memory only."""


def described(taint: Mapping[TaintSource, str] | None) -> str:
    """Return the sources with their tools as a part of a sentence; empty if there are none."""
    # Sorted, because not every database keeps the order of an object.
    return ", ".join(f"{source} ({tool})" for source, tool in sorted((taint or {}).items()))


class Taint:
    """The taint of one run's conversation: each source, with the tool that brought the first text.

    It only grows. `store` writes it for later turns, and is called in a transaction.
    """

    def __init__(self, sources: Mapping[TaintSource, str] | None = None, store: Store = store_nothing) -> None:
        self._sources = dict(sources or {})
        self._store = store

    @property
    def sources(self) -> Mapping[TaintSource, str]:
        return self._sources

    @property
    def reason(self) -> str:
        """The sources as a part of a sentence; empty if there are none."""
        return f", in a conversation with texts from {', '.join(self._sources)}" if self._sources else ""

    def add(self, source: TaintSource | None, tool: str) -> bool:
        """Add the source of texts that a tool brought, if there is one. Return whether it is new."""
        if source is None or source in self._sources:
            return False
        # A new value, because the earlier one may be part of an event that is not encoded yet.
        self._sources = {**self._sources, source: tool}
        return True

    def store(self) -> None:
        """Store the taint. Call it in a transaction."""
        self._store(self._sources)
