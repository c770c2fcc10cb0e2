"""A search of a list in the indexes of words, of its own rows and of rows that belong to them."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from django.db.models import QuerySet

from storage.search.index import TextIndex
from storage.search.matches import ALL, Matches, Span, number_of
from storage.search.query import parse


class TextSource(msgspec.Struct, frozen=True, kw_only=True):
    """An index in which a list finds rows.

    `rows` returns the keys of the list's rows from those of the index; None if they are the same. A user needs the
    `permission`, because a search reveals parts of a text.
    """

    index: TextIndex
    permission: str
    rows: Callable[[Sequence[Any]], Iterable[Any]] | None = None


class TextMatches:
    """One search of a list. While it is read, `is_cut` becomes true if its time was over before its end."""

    def __init__(
        self, sources: Sequence[TextSource], text: str, rows: QuerySet[Any], *, until: float, day: str = ""
    ) -> None:
        """Search the `rows` that the filters of the list admit. `day` is the field by which they are of one day."""
        self.is_cut = False
        self._sources = sources
        self._query = parse(text)
        self._rows = rows
        self._until = until
        self._day = day

    def __iter__(self) -> Iterator[Any]:
        """Yield the keys of rows, those of each source newest first."""
        seen: set[Any] = set()
        for number, source in enumerate(self._sources):
            now = time.perf_counter()
            until = now + (self._until - now) / (len(self._sources) - number)
            found = Matches(source.index, self._query, until=until, span=self._span(source))
            for batch in found:
                keys = batch if source.rows is None else source.rows(batch)
                new = [key for key in dict.fromkeys(keys) if key not in seen]
                seen.update(new)
                yield from self._admitted(new)
            self.is_cut = self.is_cut or found.is_cut

    def _admitted(self, keys: Sequence[Any]) -> Iterable[Any]:
        """Return the keys of rows that the filters admit, in the same order."""
        if not keys or not self._rows.query.where:
            return keys
        admitted = set(self._rows.order_by().filter(pk__in=keys).values_list("pk", flat=True))
        return [key for key in keys if key in admitted]

    def _span(self, source: TextSource) -> Span:
        """Return the numbers of the oldest and the newest row of the day, so that a search begins there."""
        if not self._day or source.rows is not None:
            return ALL
        keys = self._rows.values_list("pk", flat=True)
        ends = [next(iter(keys.order_by(order)[:1]), None) for order in (self._day, f"-{self._day}")]
        if None in ends:
            return 1, 0
        first, last = sorted(number_of(source.index, key) for key in ends)
        # A row that is not indexed yet has no number.
        return (first, last) if first else ALL
