"""The kinds of records that the chain covers, for its verification."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import msgspec
from django.db.models import Model

from audit.problems import ENTRIES_AT_ONCE
from audit.records import Content, Facet


class Source(Protocol):
    """The current contents of records: a facet, or values from several tables."""

    def read(self, subjects: Iterable[str], /) -> dict[str, Content]:
        """Return the contents of the records that exist, by subject."""


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of record, whose entries have kinds that begin with its `name`.

    `created` are the kinds of its first entry. `committed` is what kinds commit to in the row itself, and `kept` is
    what other kinds keep a copy of. The newest copy of each source must equal the row, unless the row has an entry of a
    kind that `replaces` it. `unrecorded` returns the first column that differs from what the kinds of its entries say.
    """

    name: str
    model: type[Model]
    whole: Source
    created: frozenset[str]
    committed: Mapping[str, Facet] = {}
    kept: Mapping[str, Source] = {}
    replaces: Mapping[str, frozenset[str]] = {}
    unrecorded: Callable[[Mapping[str, Any], frozenset[str]], str] = lambda row, kinds: ""

    @property
    def deleted(self) -> str:
        """The kind of the entry about the record's deletion."""
        return f"{self.name}.deleted"

    def subjects(self) -> Iterator[list[str]]:
        """Yield the keys of all records as texts, in batches. Raises the database's errors."""
        rows = self.model._default_manager.order_by("pk")
        keys = list(rows.values_list("pk", flat=True)[:ENTRIES_AT_ONCE])
        while keys:
            yield [str(key) for key in keys]
            keys = list(rows.filter(pk__gt=keys[-1]).values_list("pk", flat=True)[:ENTRIES_AT_ONCE])
