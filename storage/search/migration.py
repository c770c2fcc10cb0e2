"""The operation of a migration that creates an index and fills it from the rows that are there."""

from typing import Any, Final
from uuid import UUID

from django.db import connections, transaction
from django.db.migrations import RunPython

from storage.search import postgres, sqlite
from storage.search.index import TextIndex

ROWS_AT_ONCE: Final = 2_000


class CreateTextIndex(RunPython):
    """Creates an index. Its migration is not atomic, so that each batch of rows is a transaction of its own.

    A migration that was interrupted continues: what exists is kept, and rows with a number are passed over.
    """

    def __init__(self, index: TextIndex) -> None:
        super().__init__(
            lambda _, editor: create(index, editor.connection.alias),
            lambda _, editor: drop(index, editor.connection.alias),
        )
        self.index = index

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return self.__class__.__qualname__, [self.index], {}


def create(index: TextIndex, alias: str) -> None:
    """Create an index and fill it. Raises the database's errors."""
    vendor = _vendor(alias)
    _run(alias, [*vendor.tables(index), *vendor.triggers(index)])
    fill(index, alias)
    if vendor is postgres:
        _run(alias, postgres.indexes(index))


def fill(index: TextIndex, alias: str) -> None:
    """Index the rows that are not indexed yet, batch by batch. Raises the database's errors."""
    statements = list(_vendor(alias).fill(index))
    key = index.key
    bound = (
        f"SELECT {key} FROM "
        f"(SELECT {key} FROM {index.table} WHERE {key} > %s ORDER BY {key} LIMIT {ROWS_AT_ONCE}) batch "
        f"ORDER BY {key} DESC LIMIT 1"
    )
    last: Any = -1
    if index.is_uuid:
        last = "" if connections[alias].vendor == "sqlite" else str(UUID(int=0))
    while True:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.execute(bound, [last])
            found = cursor.fetchone()
            if found is None:
                return
            for statement in statements:
                cursor.execute(statement, [last, found[0]])
            last = found[0]


def restore(alias: str, *indexes: TextIndex) -> None:
    """Create the triggers that are missing: on SQLite, Django drops them with the table when it alters one."""
    if connections[alias].vendor == "sqlite":
        tables = connections[alias].introspection.table_names()
        _run(alias, [line for index in indexes if index.keys in tables for line in sqlite.triggers(index)])


def drop(index: TextIndex, alias: str) -> None:
    """Drop an index. Raises the database's errors."""
    _run(alias, _vendor(alias).drops(index))


def _vendor(alias: str) -> Any:
    return sqlite if connections[alias].vendor == "sqlite" else postgres


def _run(alias: str, statements: Any) -> None:
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def optimize(alias: str, *indexes: TextIndex) -> None:
    """Rewrite indexes so that no removed word is left in the file of SQLite. PostgreSQL's VACUUM does that."""
    if connections[alias].vendor == "sqlite":
        _run(alias, map(sqlite.optimize, indexes))
