"""Statements of the hot path, compiled once from a model: what the ORM would send, without its work on each row."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from django.db import connection
from django.db.models import Field, Model


class Insert:
    """`INSERT` of whole rows of a model's named fields; the rest keep the database's default or NULL."""

    def __init__(self, model: type[Model], *names: str) -> None:
        self._model = model
        self._names = names

    def __call__(self, rows: Iterable[Sequence[Any]]) -> None:
        """Inserts the rows, each with its values in the order of the names. Raises what the database raises."""
        prepare = [field.get_db_prep_save for field in self._fields]
        values = [[save(value, connection) for save, value in zip(prepare, row, strict=True)] for row in rows]
        with connection.cursor() as cursor:
            cursor.executemany(self._statement, values)

    @cached_property
    def _fields(self) -> list["Field[Any, Any]"]:
        return [self._model._meta.get_field(name) for name in self._names]

    @cached_property
    def _statement(self) -> str:
        quote = connection.ops.quote_name
        columns = ", ".join(quote(field.column) for field in self._fields)
        places = ", ".join("%s" for _ in self._fields)
        return f"INSERT INTO {quote(self._model._meta.db_table)} ({columns}) VALUES ({places})"
