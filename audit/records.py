"""The contents of records, read from their tables with the driver's own cursor."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import BooleanField, DateTimeField, Field, FloatField, ForeignKey, JSONField, Model, UUIDField

from audit import hashing
from storage import statement_batch

Read = Callable[[Any], Any]

SUBJECTS_AT_ONCE: Final = 500
"""Subjects that one statement reads."""


class Content(msgspec.Struct, frozen=True):
    """The values of some fields of one record, in the order of their names, and its owner."""

    owner: str
    names: Sequence[str]
    row: Sequence[Any]

    @property
    def values(self) -> Mapping[str, Any]:
        return dict(zip(self.names, self.row, strict=True))

    @property
    def encoded(self) -> bytes:
        """The values as canonical JSON."""
        return hashing.encoded(self.row)


class Facet:
    """The fields of a record that one kind of entry commits to."""

    def __init__(self, model: type[Model], *names: str, owner: str = "") -> None:
        """Take the names of the fields. `owner` is the field with the record's owner, if it has one."""
        self.model = model
        self.names = names
        self._owner = owner

    def read(self, subjects: Iterable[str], /) -> dict[str, Content]:
        """Return the contents of the records that exist, by subject. Raises the database's errors."""
        statement_batch.flush()
        database = connections[DEFAULT_DB_ALIAS]
        database.ensure_connection()
        with database.wrap_database_errors:
            return self.fetch(database.connection.cursor(), list(dict.fromkeys(subjects)))

    def fetch(self, cursor: Any, subjects: Sequence[str]) -> dict[str, Content]:
        """Do the same with a cursor of the driver."""
        found: dict[str, Content] = {}
        for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
            keys = {}
            for subject in subjects[start : start + SUBJECTS_AT_ONCE]:
                try:
                    keys[self._key(subject)] = subject
                except ValueError:
                    # Only a changed entry has such a subject, and no record.
                    continue
            if not keys:
                continue
            statement, place = self._statement
            cursor.execute(f"{statement} ({', '.join([place] * len(keys))})", list(keys))
            for key, owner, *row in cursor.fetchall():
                for index, read in self._readers:
                    if row[index] is not None:
                        row[index] = read(row[index])
                found[keys[key]] = Content(owner, self.names, row)
        return found

    @cached_property
    def _key(self) -> Read:
        """The function from a subject to the driver's primary key. Raises `ValueError`."""
        if not isinstance(self.model._meta.pk, UUIDField):
            return int
        # SQLite stores a UUID as its digits.
        return UUID if connections[DEFAULT_DB_ALIAS].features.has_native_uuid_field else lambda text: UUID(text).hex

    @cached_property
    def _readers(self) -> list[tuple[int, Read]]:
        readers = [reader(cast("Field[Any, Any]", self.model._meta.get_field(name))) for name in self.names]
        return [(index, read) for index, read in enumerate(readers) if read is not None]

    @cached_property
    def _statement(self) -> tuple[str, str]:
        """The query without its keys, and the place of a key in it."""
        database = connections[DEFAULT_DB_ALIAS]
        quote = database.ops.quote_name
        fields = [cast("Any", self.model._meta.get_field(name)) for name in self.names]
        key = quote(cast("Any", self.model._meta.pk).column)
        columns = [key, quote(self._owner) if self._owner else "''", *(quote(field.column) for field in fields)]
        # Names come from the models, values only ever as parameters.
        statement = f"SELECT {', '.join(columns)} FROM {quote(self.model._meta.db_table)} WHERE {key} IN"  # noqa: S608 - see above
        return statement, "?" if database.vendor == "sqlite" else "%s"


def reader(field: "Field[Any, Any]") -> Read | None:
    """Return the function from a driver's value to its canonical form; None if it has that form."""
    plain = field.target_field if isinstance(field, ForeignKey) else field
    if isinstance(plain, JSONField):
        # The driver of either database returns JSON as text.
        return hashing.document
    if isinstance(plain, DateTimeField):
        return hashing.moment
    if isinstance(plain, UUIDField):
        return hashing.identifier
    if isinstance(plain, BooleanField):
        return bool
    return float if isinstance(plain, FloatField) else None
