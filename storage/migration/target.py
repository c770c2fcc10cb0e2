"""The PostgreSQL database that is filled, with a table that records the progress.

TargetRefused         the database cannot be filled
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.core.management.color import no_style
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from storage.migration.snapshot import Row
from storage.migration.tables import Column, Table

PROGRESS: Final = "migration_progress"
MADE_BY_MIGRATE: Final = (
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    "audit_entries",
)
ROWS_AT_ONCE: Final = 2_000
WHOLE: Final = "*"


class TargetRefused(Exception):
    """The database cannot be filled."""


class Sql:
    """Statements on the database behind one of Django's connection aliases."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    @property
    def database(self) -> BaseDatabaseWrapper:
        # Django's connections belong to a thread, so none is kept here.
        return connections[self._alias]

    def execute(self, statement: str, *values: Any) -> None:
        with self.database.cursor() as cursor:
            cursor.execute(statement, values or None)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.database.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def one(self, statement: str, *values: Any) -> Any:
        found = self.rows(statement, *values)
        return found[0][0] if found else None

    def quoted(self, name: str) -> str:
        return self.database.ops.quote_name(name)


class Target:
    """The database to fill."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._sql = Sql(alias)

    def names(self) -> list[str]:
        """Return the names of all its tables."""
        return sorted(self._sql.database.introspection.table_names())

    def strangers(self) -> list[str]:
        """Return the tables with rows that were not copied from the snapshot."""
        known = {*MADE_BY_MIGRATE, PROGRESS}
        return [
            name
            for name in self.names()
            if name not in known and self._sql.one(f"SELECT 1 FROM {self._sql.quoted(name)} LIMIT 1")  # noqa: S608 - the database's own
        ]

    def migrations(self) -> set[tuple[str, str]]:
        return set(self._sql.rows("SELECT app, name FROM django_migrations"))

    def token(self) -> int | None:
        """Return the token of the snapshot that fills it; None before the first copy."""
        if PROGRESS not in self.names():
            return None
        return int(self._sql.one(f"SELECT last FROM {PROGRESS} WHERE part = ''"))  # noqa: S608 - a constant

    def begin(self, token: int, tables: Sequence[Table]) -> None:
        """Create the progress table, and empty the tables that `migrate` fills itself."""
        emptied = [table for table in tables if table.name in MADE_BY_MIGRATE]
        with transaction.atomic(using=self._alias):
            self._sql.execute(f"CREATE TABLE {PROGRESS} (part text PRIMARY KEY, last text NOT NULL)")
            self._sql.execute(f"INSERT INTO {PROGRESS} VALUES ('', %s)", str(token))  # noqa: S608 - a constant
            for table in reversed(emptied):
                self._sql.execute(f"DELETE FROM {self._sql.quoted(table.name)}")  # noqa: S608 - a model's

    def last(self, part: str) -> str:
        """Return the last copied key of a part: empty before the first, `WHOLE` when the part is complete."""
        return str(self._sql.one(f"SELECT last FROM {PROGRESS} WHERE part = %s", part) or "")  # noqa: S608 - a constant

    def add(self, table: Table, rows: Sequence[Row], last: str) -> None:
        """Add rows, and record the progress of the table in the same transaction."""
        late = [index for index, column in enumerate(table.columns) if column.refers_to_itself]
        names = ", ".join(self._sql.quoted(column.name) for column in table.columns)
        self._sql.database.ensure_connection()
        with transaction.atomic(using=self._alias):
            # Django's cursor has no COPY, which is several times as fast as INSERT.
            with (
                self._sql.database.connection.cursor() as cursor,
                cursor.copy(f"COPY {self._sql.quoted(table.name)} ({names}) FROM STDIN") as copy,
            ):
                for row in rows:
                    copy.write_row(
                        [None if index in late else value for index, value in enumerate(row)] if late else row
                    )
            self.mark(table.name, last)

    def fill(self, table: Table, column: Column, values: Sequence[tuple[Any, Any]], last: str) -> None:
        """Fill a column that refers to rows of its own table, from pairs of a value and the row's key."""
        statement = (
            f"UPDATE {self._sql.quoted(table.name)} SET {column.name} = %s WHERE {self._sql.quoted(table.key)} = %s"  # noqa: S608 - a model's
        )
        with transaction.atomic(using=self._alias):
            with self._sql.database.cursor() as cursor:
                cursor.executemany(statement, values)
            self.mark(f"{table.name}.{column.name}", last)

    def mark(self, part: str, last: str) -> None:
        statement = f"INSERT INTO {PROGRESS} VALUES (%s, %s) ON CONFLICT (part) DO UPDATE SET last = excluded.last"  # noqa: S608 - a constant
        self._sql.execute(statement, part, last)

    def rows(self, table: Table) -> Iterator[Row]:
        """Yield all rows of a table, with JSON as text, a few at a time."""
        names = ", ".join(self._sql.quoted(column.name) for column in table.columns)
        with transaction.atomic(using=self._alias), self._sql.database.chunked_cursor() as cursor:
            cursor.execute(f"SELECT {names} FROM {self._sql.quoted(table.name)}")  # noqa: S608 - a model's
            while found := cursor.fetchmany(ROWS_AT_ONCE):
                yield from map(list, found)

    def count(self, table: Table) -> int:
        return int(self._sql.one(f"SELECT count(*) FROM {self._sql.quoted(table.name)}"))  # noqa: S608 - a model's

    def end(self, tables: Sequence[Table]) -> None:
        """Set the sequences after the highest ids, analyze all tables, and drop the progress table."""
        for statement in self._sql.database.ops.sequence_reset_sql(no_style(), [table.model for table in tables]):
            self._sql.execute(statement)
        self._sql.execute(f"DROP TABLE {PROGRESS}")
        self._sql.execute("ANALYZE")
