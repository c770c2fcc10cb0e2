"""The texts of one table that can be searched, and the names of the tables of their index.

An index is a table of numbered keys and, beside it, the words. Triggers keep both, whatever writes the rows.
The numbers rise with the time of the insert, so a search reads the newest rows first.
"""

from typing import Final

import msgspec

MAX_CHARS: Final = 100_000
"""Characters of a row that are indexed. A `tsvector` has at most 1 MB."""


class TextIndex(msgspec.Struct, frozen=True, kw_only=True):
    """An index of a table's rows by the words of some columns.

    `texts` are columns with text; `documents` are columns with JSON, whose strings are indexed. A search can be limited
    to rows with one value of the column `scope`. A row with one of the `open_statuses` is not indexed yet, because its
    texts will change soon.
    """

    table: str
    key: str = "id"
    is_uuid: bool = True
    scope: str
    texts: tuple[str, ...]
    documents: tuple[str, ...] = ()
    open_statuses: tuple[str, ...] = ()

    @property
    def keys(self) -> str:
        """The name of the table of numbered keys."""
        return f"{self.table}_texts"

    @property
    def words(self) -> str:
        """The name of SQLite's table of words."""
        return f"{self.table}_words"

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.texts, *self.documents)

    @property
    def changing(self) -> str:
        """The columns whose updates can change the index."""
        return ", ".join([*self.columns, *(["status"] if self.open_statuses else [])])

    def open(self, row: str) -> str:
        """Return the condition that a row is not indexed yet."""
        words = ", ".join(f"'{status}'" for status in self.open_statuses)
        return f"{row}.status IN ({words})" if words else "FALSE"


def scope_word(value: object) -> str:
    """Return the single word that stands for a value of the scope, which is an id or an owner."""
    return str(value).replace(":", "x").replace("-", "")
