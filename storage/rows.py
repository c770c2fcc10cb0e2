"""Statements of the hot path, compiled once from a model: what the ORM would send, without its work on each row."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model


class Insert:
    """`INSERT` of whole rows of a model's named fields; the rest keep the database's default or NULL."""

    def __init__(self, model: type[Model], *names: str) -> None:
        self._model = model
        self._names = names

    def __call__(self, rows: Iterable[Sequence[Any]]) -> None:
        """Inserts the rows, each with its values in the order of the names. Raises what the database raises."""
        database = connections[DEFAULT_DB_ALIAS]
        values = [_prepared(database, self._fields, row) for row in rows]
        with database.cursor() as cursor:
            cursor.executemany(self._statement, values)

    @cached_property
    def _fields(self) -> "list[Field[Any, Any]]":
        return _fields(self._model, self._names)

    @cached_property
    def _statement(self) -> str:
        columns = ", ".join(_column(field) for field in self._fields)
        places = ", ".join("%s" for _ in self._fields)
        # Names come from the models, values only ever as parameters.
        return f"INSERT INTO {_table(self._model)} ({columns}) VALUES ({places})"  # noqa: S608 - see above


class Update:
    """`UPDATE` of a model's named fields where others equal given values."""

    def __init__(self, model: type[Model], *, names: Sequence[str], where: Sequence[str]) -> None:
        self._model = model
        self._names = tuple(names)
        self._where = tuple(where)

    def __call__(self, values: Sequence[Any], where: Sequence[Any]) -> int:
        """The number of rows that were changed. Raises what the database raises."""
        database = connections[DEFAULT_DB_ALIAS]
        with database.cursor() as cursor:
            cursor.execute(self._statement, _prepared(database, self._fields, (*values, *where)))
            return int(cursor.rowcount)

    @cached_property
    def _fields(self) -> "list[Field[Any, Any]]":
        return _fields(self._model, (*self._names, *self._where))

    @cached_property
    def _statement(self) -> str:
        count = len(self._names)
        changes = ", ".join(f"{_column(field)} = %s" for field in self._fields[:count])
        conditions = " AND ".join(f"{_column(field)} = %s" for field in self._fields[count:])
        # Names come from the models, values only ever as parameters.
        return f"UPDATE {_table(self._model)} SET {changes} WHERE {conditions}"  # noqa: S608 - see above


def _fields(model: type[Model], names: Sequence[str]) -> "list[Field[Any, Any]]":
    return [cast("Field[Any, Any]", model._meta.get_field(name)) for name in names]


def _prepared(database: BaseDatabaseWrapper, fields: "Sequence[Field[Any, Any]]", values: Sequence[Any]) -> list[Any]:
    return [
        None if value is None else field.get_db_prep_save(value, database)
        for field, value in zip(fields, values, strict=True)
    ]


def _column(field: "Field[Any, Any]") -> str:
    return connection.ops.quote_name(str(field.column))


def _table(model: type[Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
