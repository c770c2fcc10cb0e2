"""The PostgreSQL database that is filled, and the table in it that says how far it is.

TargetRefused         it is not a database that can be filled
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.core.management.color import no_style
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from storage.migration.snapshot import Row
from storage.migration.tables import Column, Table

PROGRESS: Final = "migration_progress"
MADE_BY_MIGRATE: Final = ("django_migrations", "django_content_type", "auth_permission")
ROWS_AT_ONCE: Final = 2_000
WHOLE: Final = "*"


class TargetRefused(Exception):
    """The database is not one that can be filled."""


class Target:
    """The database of a connection of Django's, by its alias."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    @property
    def _database(self) -> BaseDatabaseWrapper:
        return connections[self._alias]

    def names(self) -> list[str]:
        """Of all tables that it has."""
        return sorted(self._database.introspection.table_names())

    def strangers(self) -> list[str]:
        """Tables that hold rows which nobody has copied here."""
        known = {*MADE_BY_MIGRATE, PROGRESS}
        return [name for name in self.names() if name not in known and self._holds_rows(name)]

    def migrations(self) -> set[tuple[str, str]]:
        return set(self._rows("SELECT app, name FROM django_migrations"))

    def token(self) -> int | None:
        """That of the snapshot that it is being filled from; None where nobody has begun."""
        if PROGRESS not in self.names():
            return None
        return int(self._one(f"SELECT last FROM {PROGRESS} WHERE part = ''"))  # noqa: S608 - a constant

    def begin(self, token: int, tables: Sequence[Table]) -> None:
        """Makes the table of the progress, and empties the tables that `migrate` has filled by itself."""
        emptied = [table for table in tables if table.name in MADE_BY_MIGRATE]
        with transaction.atomic(using=self._alias):
            self._do(f"CREATE TABLE {PROGRESS} (part text PRIMARY KEY, last text NOT NULL)")
            self._do(f"INSERT INTO {PROGRESS} VALUES ('', %s)", str(token))  # noqa: S608 - a constant
            for table in reversed(emptied):
                self._do(f"DELETE FROM {self._quoted(table.name)}")  # noqa: S608 - a model's

    def last(self, part: str) -> str:
        """The last key that was copied of a part; empty before the first, `WHOLE` when all of it is here."""
        return str(self._one(f"SELECT last FROM {PROGRESS} WHERE part = %s", part) or "")  # noqa: S608 - a constant

    def add(self, table: Table, rows: Sequence[Row], last: str) -> None:
        """Adds rows, and says in the same transaction how far the table is."""
        late = [index for index, column in enumerate(table.columns) if column.refers_to_itself]
        names = ", ".join(self._quoted(column.name) for column in table.columns)
        with transaction.atomic(using=self._alias):
            with (
                self._driver_cursor() as cursor,
                cursor.copy(f"COPY {self._quoted(table.name)} ({names}) FROM STDIN") as copy,
            ):
                for row in rows:
                    copy.write_row(
                        [None if index in late else value for index, value in enumerate(row)] if late else row
                    )
            self.mark(table.name, last)

    def fill(self, table: Table, column: Column, values: Sequence[tuple[Any, Any]], last: str) -> None:
        """Fills a column that refers to other rows of its own table: pairs of a value and the row's key."""
        statement = f"UPDATE {self._quoted(table.name)} SET {column.name} = %s WHERE {self._quoted(table.key)} = %s"  # noqa: S608 - a model's
        with transaction.atomic(using=self._alias):
            with self._database.cursor() as cursor:
                cursor.executemany(statement, values)
            self.mark(f"{table.name}.{column.name}", last)

    def mark(self, part: str, last: str) -> None:
        statement = f"INSERT INTO {PROGRESS} VALUES (%s, %s) ON CONFLICT (part) DO UPDATE SET last = excluded.last"  # noqa: S608 - a constant
        self._do(statement, part, last)

    def rows(self, table: Table) -> Iterator[Row]:
        """All rows of a table, JSON as text, a few at a time."""
        names = ", ".join(self._quoted(column.name) for column in table.columns)
        with transaction.atomic(using=self._alias), self._database.chunked_cursor() as cursor:
            cursor.execute(f"SELECT {names} FROM {self._quoted(table.name)}")  # noqa: S608 - a model's
            while found := cursor.fetchmany(ROWS_AT_ONCE):
                yield from map(list, found)

    def count(self, table: Table) -> int:
        return int(self._one(f"SELECT count(*) FROM {self._quoted(table.name)}"))  # noqa: S608 - a model's

    def end(self, tables: Sequence[Table]) -> None:
        """Lets the sequences go on behind the highest ids, has the planner look at all, and forgets the progress."""
        for statement in self._database.ops.sequence_reset_sql(no_style(), [table.model for table in tables]):
            self._do(statement)
        self._do(f"DROP TABLE {PROGRESS}")
        self._do("ANALYZE")

    def _holds_rows(self, name: str) -> bool:
        return self._one(f"SELECT 1 FROM {self._quoted(name)} LIMIT 1") is not None  # noqa: S608 - the database's own

    def _driver_cursor(self) -> Any:
        self._database.ensure_connection()
        return self._database.connection.cursor()

    def _do(self, statement: str, *values: Any) -> None:
        with self._database.cursor() as cursor:
            cursor.execute(statement, values or None)

    def _one(self, statement: str, *values: Any) -> Any:
        found = self._rows(statement, *values)
        return found[0][0] if found else None

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._database.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def _quoted(self, name: str) -> str:
        return self._database.ops.quote_name(name)
