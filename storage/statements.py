"""Statements of the hot path, compiled once from a model: the ORM's SQL, without its work for each row."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

from django.db import connection
from django.db.models import Field, Model, QuerySet

from storage import statement_batch
from storage.row_adapters import Conversion, Values, conversion, plain

Key = TypeVar("Key")


class Insert:
    """An `INSERT` of whole rows. Other fields of the model keep the database's default or NULL."""

    def __init__(self, model: type[Model], *names: str) -> None:
        self._model = model
        self._names = names

    def __call__(self, rows: Iterable[Sequence[Any]]) -> None:
        """Insert the rows, each with its values in the order of the names. Raises the database's errors."""
        statement_batch.send(self._statement, [self._prepare(row) for row in rows])

    @cached_property
    def _fields(self) -> "list[Field[Any, Any]]":
        return _fields(self._model, self._names)

    @cached_property
    def _prepare(self) -> Values:
        return Values(self._fields)

    @cached_property
    def _statement(self) -> str:
        columns = ", ".join(_column(field) for field in self._fields)
        places = ", ".join(_place() for _ in self._fields)
        # Names come from the models, values only ever as parameters.
        return f"INSERT INTO {_table(self._model)} ({columns}) VALUES ({places})"  # noqa: S608 - see above


class Sum:
    """An upsert that adds numbers to the rows with a unique `key`; a missing row starts at these numbers."""

    def __init__(self, model: type[Model], *, key: Sequence[str], sums: Sequence[str]) -> None:
        self._model = model
        self._key = tuple(key)
        self._sums = tuple(sums)

    def __call__(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows, each the values of its key and then its numbers. Raises the database's errors."""
        statement_batch.send(self._statement, [self._prepare(row) for row in rows])

    @cached_property
    def _fields(self) -> "list[Field[Any, Any]]":
        return _fields(self._model, (*self._key, *self._sums))

    @cached_property
    def _prepare(self) -> Values:
        return Values(self._fields)

    @cached_property
    def _statement(self) -> str:
        columns = [_column(field) for field in self._fields]
        table, count = _table(self._model), len(self._key)
        sums = ", ".join(f"{column} = {table}.{column} + excluded.{column}" for column in columns[count:])
        places = ", ".join(_place() for _ in columns)
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - names are the models'
        return f"{insert} ON CONFLICT ({', '.join(columns[:count])}) DO UPDATE SET {sums}"


class Update:
    """An `UPDATE` of named fields in rows where other fields equal given values."""

    def __init__(self, model: type[Model], *, names: Sequence[str], where: Sequence[str]) -> None:
        self._model = model
        self._names = tuple(names)
        self._where = tuple(where)

    def __call__(self, values: Sequence[Any], where: Sequence[Any]) -> int:
        """Return the number of changed rows. Raises the database's errors."""
        statement_batch.flush()
        return int(statement_batch.execute(self._statement, [self._row(values, where)]).rowcount)

    def later(self, values: Sequence[Any], where: Sequence[Any]) -> None:
        """Update without returning the number of rows, so that equal statements can be sent together."""
        statement_batch.send(self._statement, [self._row(values, where)])

    def _row(self, values: Sequence[Any], where: Sequence[Any]) -> Sequence[Any]:
        return self._prepare((*values, *where))

    @cached_property
    def _fields(self) -> "list[Field[Any, Any]]":
        return _fields(self._model, (*self._names, *self._where))

    @cached_property
    def _prepare(self) -> Values:
        return Values(self._fields)

    @cached_property
    def _statement(self) -> str:
        count = len(self._names)
        changes = ", ".join(f"{_column(field)} = {_place()}" for field in self._fields[:count])
        conditions = " AND ".join(f"{_column(field)} = {_place()}" for field in self._fields[count:])
        # Names come from the models, values only ever as parameters.
        return f"UPDATE {_table(self._model)} SET {changes} WHERE {conditions}"  # noqa: S608 - see above


class Select:
    """A query for the newest rows, by primary key, in which a field equals a given value.

    Values are the driver's: JSON is text, and on SQLite a boolean is 0 or 1.
    """

    def __init__(self, model: type[Model], *names: str, where: str) -> None:
        self._model = model
        self._names = names
        self._where = where

    def __call__(self, value: Any, most: int) -> list[tuple[Any, ...]]:
        """Return at most `most` rows, the newest first. Raises the database's errors."""
        return _fetch(self._statement, [*self._prepare((value,)), most])

    @cached_property
    def _prepare(self) -> Values:
        return Values(_fields(self._model, [self._where]))

    @cached_property
    def _statement(self) -> str:
        columns = ", ".join(_column(field) for field in _fields(self._model, self._names))
        key, where = _column(self._model._meta.pk), _column(_fields(self._model, [self._where])[0])
        condition = f"WHERE {where} = {_place()} ORDER BY {key} DESC LIMIT {_place()}"
        # Names come from the models, values only ever as parameters.
        return f"SELECT {columns} FROM {_table(self._model)} {condition}"  # noqa: S608 - see above


class Exists:
    """A query for whether any row exists. It is compiled once, and has no order."""

    def __init__(self, query: "Callable[[], QuerySet[Any]]") -> None:
        self._query = query

    def __call__(self) -> bool:
        """Return whether a row exists. Raises the database's errors."""
        with connection.cursor() as cursor:
            cursor.execute(*self._statement)
            return cursor.fetchone() is not None

    @cached_property
    def _statement(self) -> tuple[str, tuple[Any, ...]]:
        return self._query().order_by().values_list("pk")[:1].query.sql_with_params()


class Locked:
    """A query that returns and locks the keys whose row has a given value, and other values that never change.

    If the database has row locks, no other transaction changes these rows before this one ends.
    """

    def __init__(self, model: type[Model], name: str, **always: str) -> None:
        self._model = model
        self._name = name
        self._always = always

    def __call__(self, keys: Collection[Key], value: Any) -> set[Key]:
        """Return the locked keys. Raises the database's errors."""
        if not keys:
            return set()
        convert = self._convert
        by_column = {convert(key): key for key in keys} if convert else {key: key for key in keys}
        places = ", ".join([_place()] * len(keys))
        values = [value, *by_column]
        # SQLite has no row locks and needs none: it has one writer at a time.
        lock = " FOR SHARE" if connection.features.has_select_for_update else ""
        return {by_column[key] for (key,) in _fetch(f"{self._statement} IN ({places}){lock}", values)}

    @cached_property
    def _convert(self) -> Conversion | None:
        return conversion(self._model._meta.pk)

    @cached_property
    def _statement(self) -> str:
        key = _column(self._model._meta.pk)
        (name, *others) = [_column(field) for field in _fields(self._model, (self._name, *self._always))]
        # As literals: the planner can then see that a partial index with this condition applies.
        words = [f"{column} = '{word}'" for column, word in zip(others, self._always.values(), strict=True)]
        conditions = " AND ".join((f"{name} = {_place()}", *words))
        # Names come from the models, words from our own modules, values only ever as parameters.
        return f"SELECT {key} FROM {_table(self._model)} WHERE {conditions} AND {key}"  # noqa: S608 - see above


class Statement:
    """Handwritten SQL with `%s` for each value: text, numbers, moments and UUIDs."""

    def __init__(self, statement: str) -> None:
        self._written = statement

    def __call__(self, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of the result. Raises the database's errors."""
        return _fetch(self._statement, [plain(value) for value in values])

    def later(self, *values: Any) -> None:
        """Run a statement without a result, so that equal statements can be sent together."""
        statement_batch.send(self._statement, [[plain(value) for value in values]])

    @cached_property
    def _statement(self) -> str:
        # Compiled on first use: the database's vendor is unknown when modules are imported.
        return self._written.replace("%s", _place())


def _fetch(statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    # Collected statements come first, because this query may read their rows.
    statement_batch.flush()
    with connection.wrap_database_errors:
        return list(statement_batch.execute(statement, [values]).fetchall())


def _place() -> str:
    return "?" if connection.vendor == "sqlite" else "%s"


def _fields(model: type[Model], names: Sequence[str]) -> "list[Field[Any, Any]]":
    return [cast("Field[Any, Any]", model._meta.get_field(name)) for name in names]


def _column(field: "Field[Any, Any]") -> str:
    return connection.ops.quote_name(str(field.column))


def _table(model: type[Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
