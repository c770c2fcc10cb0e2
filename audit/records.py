"""The contents of records, read from their tables with the driver's own cursor."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, cast

import msgspec
from django.db import connection
from django.db.models import BooleanField, DateTimeField, Field, FloatField, ForeignKey, JSONField, Model, UUIDField

from audit import hashing
from storage import statement_batch
from storage.row_adapters import conversion

Read = Callable[[Any], Any]

SUBJECTS_AT_ONCE: Final = 500
"""Subjects that one statement reads."""


class Content(msgspec.Struct, frozen=True):
    """The values of some fields of one record, by their names, and its owner."""

    owner: str
    values: Mapping[str, Any]

    @property
    def encoded(self) -> bytes:
        """The values in the order of their names in the facet, as canonical JSON."""
        return hashing.encoded(list(self.values.values()))


class Facet:
    """The fields of a record that one kind of entry commits to."""

    def __init__(self, model: type[Model], *names: str, owner: str = "") -> None:
        """Take the names of the fields. `owner` is the field with the record's owner, if it has one."""
        self.model = model
        self.names = names
        self._owner = owner

    def read(self, subjects: Iterable[str], /) -> dict[str, Content]:
        """Return the contents of the records that exist, by subject. Raises the database's errors."""
        found: dict[str, Content] = {}
        ordered = list(dict.fromkeys(subjects))
        for start in range(0, len(ordered), SUBJECTS_AT_ONCE):
            found |= self._some(ordered[start : start + SUBJECTS_AT_ONCE])
        return found

    def _some(self, subjects: Sequence[str]) -> dict[str, Content]:
        keys: dict[Any, str] = {}
        for subject in subjects:
            key = self.key(subject)
            if key is not None:
                keys[key] = subject
        if not keys:
            return {}
        statement_batch.flush()
        places = ", ".join(["?" if connection.vendor == "sqlite" else "%s"] * len(keys))
        values = list(keys) if self._to_key is None else [self._to_key(key) for key in keys]
        rows = statement_batch.execute(f"{self._statement} ({places})", [values]).fetchall()
        return {keys[self._from_key(key)]: Content(owner, self._values(row)) for key, owner, *row in rows}

    def key(self, subject: str) -> Any:
        """Return the primary key of a subject; None if the text is not one."""
        field: Any = self.model._meta.pk
        try:
            return field.to_python(subject)
        except Exception:  # noqa: BLE001 - a changed entry may have any subject
            return None

    def _values(self, row: Sequence[Any]) -> dict[str, Any]:
        return {
            name: value if value is None or read is None else read(value)
            for name, read, value in zip(self.names, self._readers, row, strict=True)
        }

    @cached_property
    def _from_key(self) -> Read:
        return cast("Any", self.model._meta.pk).to_python  # type: ignore[no-any-return]

    @cached_property
    def _to_key(self) -> Read | None:
        return conversion(cast("Any", self.model._meta.pk))

    @cached_property
    def _fields(self) -> "list[Field[Any, Any]]":
        return [cast("Field[Any, Any]", self.model._meta.get_field(name)) for name in self.names]

    @cached_property
    def _readers(self) -> list[Read | None]:
        return [_reader(field) for field in self._fields]

    @cached_property
    def _statement(self) -> str:
        quote = connection.ops.quote_name
        key = quote(str(self.model._meta.pk.column))  # type: ignore[union-attr]  # every model has a key
        columns = [key, quote(self._owner) if self._owner else "''"]
        columns += [_column(field) for field in self._fields]
        # Names come from the models, values only ever as parameters.
        return f"SELECT {', '.join(columns)} FROM {quote(self.model._meta.db_table)} WHERE {key} IN"  # noqa: S608 - see above


def _column(field: "Field[Any, Any]") -> str:
    return connection.ops.quote_name(str(field.column))


def _reader(field: "Field[Any, Any]") -> Read | None:
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
