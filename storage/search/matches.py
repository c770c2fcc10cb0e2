"""The keys of the rows that match a query, the newest first, read in batches and for a limited time."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError, connection, transaction

from storage.search import postgres, sqlite
from storage.search.index import TextIndex
from storage.search.query import Query

Numbered = tuple[int, Any]
"""The number of a row in its index, and its key."""

FIRST_BATCH: Final = 500
MAX_BATCH: Final = 2_000
"""Keys of one batch. It doubles, so that a long search takes few queries."""

MAX_EVERY: Final = 20_000
"""Keys that one query of the GIN index returns at most."""

SHARE_OF_EVERY: Final = 0.6
"""The part of the remaining time after which PostgreSQL stops collecting all matches, because they are too many."""

INSTRUCTIONS: Final = 1_000
"""Instructions of SQLite's machine between two looks at the time."""

CANCELLED: Final = "57014"
"""PostgreSQL's code for a statement that took longer than `statement_timeout`."""

Span = tuple[int, int]
ALL: Final[Span] = (1, 2**63 - 1)


class Matches:
    """One search in one index. While it is read, `is_cut` becomes true if its time was over before its end."""

    def __init__(
        self, index: TextIndex, query: Query, *, until: float, scopes: Sequence[object] = (), span: Span = ALL
    ) -> None:
        """Search until the moment `until` of `time.perf_counter`, in the rows of `scopes` (all if empty).

        Only rows whose numbers are in `span`, with both ends, are found.
        """
        self.is_cut = False
        self._index = index
        self._query = query
        self._until = until
        self._scopes = scopes
        self._first, self._last = span

    def __iter__(self) -> Iterator[list[Any]]:
        """Yield batches of keys: exact matches, then those whose last word only begins as the query's does."""
        if not self._query.required or self._last < self._first:
            return
        widened = self._query.widened()
        read = self._sqlite if connection.vendor == "sqlite" else self._postgres
        seen: set[int] = set()
        for query in [self._query, *([widened] if widened else [])]:
            for batch in read(query):
                new = [(number, key) for number, key in batch if number not in seen]
                seen.update(number for number, _ in new)
                if new:
                    yield [self._key(key) for _, key in new]
            if self.is_cut:
                return

    def _key(self, key: Any) -> Any:
        return UUID(key) if self._index.is_uuid and isinstance(key, str) else key

    @property
    def _seconds(self) -> float:
        return self._until - time.perf_counter()

    def _sqlite(self, query: Query) -> Iterator[list[Numbered]]:
        statement = sqlite.newest(self._index).replace("%s", "?")
        connection.ensure_connection()
        database: sqlite3.Connection = connection.connection
        size, values = FIRST_BATCH, [sqlite.match(query, self._scopes), self._first, self._last]
        # The rows are found while they are fetched, so a common word costs only its fetched rows.
        with closing(database.cursor()) as cursor:
            self._in_time(database, partial(cursor.execute, statement, values))
            while not self.is_cut and (found := self._in_time(database, partial(cursor.fetchmany, size))):
                yield found
                size = min(2 * size, MAX_BATCH)

    def _in_time(self, database: sqlite3.Connection, call: Callable[[], Any]) -> Any:
        """Return the result of a call of SQLite, or None if the time is over before its end."""
        database.set_progress_handler(lambda: self._seconds <= 0, INSTRUCTIONS)
        try:
            return call()
        except sqlite3.OperationalError:
            self.is_cut = self._seconds <= 0
            if not self.is_cut:
                raise
            return None
        finally:
            database.set_progress_handler(None, 0)

    def _postgres(self, query: Query) -> Iterator[list[Numbered]]:
        expression, values = postgres.match(query, self._scopes)
        scan, every = postgres.newest(self._index, expression), postgres.every(self._index, expression)
        newest = self._rows(f"SELECT number, key FROM {self._index.keys} ORDER BY number DESC LIMIT 1", [])
        last = min(self._last, newest[0][0]) if newest else 0
        size, is_counted = MAX_BATCH // 4, False
        while last >= self._first:
            if self._seconds <= 0:
                self.is_cut = True
                return
            first = max(self._first, last - size + 1)
            batch = self._rows(scan, [first, last, *values])
            if batch is None:
                self.is_cut = True
                return
            last, size = first - 1, min(2 * size, MAX_BATCH)
            yield batch
            if last >= self._first and not is_counted:
                # A common word fills the page from the newest rows. Any other is found as a whole.
                is_counted = True
                found = self._rows(every, [*values, self._first, last, MAX_EVERY], share=SHARE_OF_EVERY)
                if found is not None:
                    yield found
                    if len(found) < MAX_EVERY:
                        return
                    last = found[-1][0] - 1

    def _rows(self, statement: str, values: Sequence[Any], *, share: float = 1) -> list[Numbered] | None:
        """Return the rows of a statement on PostgreSQL, or None if it takes longer than this share of the time."""
        milliseconds = max(1, int(1_000 * share * self._seconds))
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)])
                cursor.execute(statement, values)
                rows: list[Numbered] = cursor.fetchall()
                # An outer transaction has its own.
                cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != CANCELLED:
                raise
            return None
        return rows


def number_of(index: TextIndex, key: Any) -> int:
    """Return the number of a row in its index; 0 if it has none. Raises the database's errors."""
    if isinstance(key, UUID) and connection.vendor == "sqlite":
        key = key.hex
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT number FROM {index.keys} WHERE key = %s", [key])
        found = cursor.fetchone()
    return int(found[0]) if found else 0
