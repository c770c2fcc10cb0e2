"""Values of rows as the database's driver takes them, converted for their columns in one pass over a row."""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import (
    BinaryField,
    BooleanField,
    CharField,
    DateField,
    DateTimeField,
    DecimalField,
    Field,
    FloatField,
    ForeignKey,
    IntegerField,
    JSONField,
    TextField,
    UUIDField,
)

from storage import sanitize

Conversion = Callable[[Any], Any]

PLAIN: Final = (BinaryField, BooleanField, FloatField)
"""Fields whose Python values need no conversion in any supported driver."""

_encode = msgspec.json.Encoder().encode


class Values:
    """Prepares rows with the values of these fields in order."""

    def __init__(self, fields: "Sequence[Field[Any, Any]]") -> None:
        self._texts: list[tuple[int, int]] = []
        self._counts: list[tuple[int, int, int]] = []
        self._others: list[tuple[int, Conversion]] = []
        for index, field in enumerate(map(_plain_field, fields)):
            if isinstance(field, CharField | TextField):
                self._texts.append((index, field.max_length or sys.maxsize))
            elif isinstance(field, IntegerField):
                self._counts.append((index, *sanitize.bounds(field)))
            elif convert := conversion(field):
                self._others.append((index, convert))

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        row = list(values)
        for index, most in self._texts:
            value = row[index]
            if value is not None and not (value.isascii() and len(value) <= most and "\x00" not in value):
                row[index] = sanitize.text(value, most)
        for index, lowest, highest in self._counts:
            value = row[index]
            if value is not None and not lowest <= value <= highest:
                row[index] = sanitize.number(value, lowest=lowest, highest=highest)
        for index, convert in self._others:
            if row[index] is not None:
                row[index] = convert(row[index])
        return row


def conversion(field: "Field[Any, Any]") -> Conversion | None:
    """Return the function that converts a field's values; None if the driver takes them as they are."""
    plain = _plain_field(field)
    if isinstance(plain, PLAIN):
        return None
    if isinstance(plain, JSONField) and plain.encoder is None:
        return _document
    if isinstance(plain, DateTimeField):
        return moment
    if isinstance(plain, UUIDField) and connection.features.has_native_uuid_field:
        return None
    return _as_text(plain) or sanitize.sanitizer(plain) or partial(plain.get_db_prep_save, connection=connection)


# The rows of one transaction share a few moments, which are converted once.
@lru_cache(maxsize=64)
def moment(value: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(value)


def plain(value: Any) -> Any:
    """Convert a text, number, moment or UUID for the driver, whatever its column."""
    if isinstance(value, datetime):
        return moment(value)
    return value.hex if isinstance(value, UUID) and not connection.features.has_native_uuid_field else value


def _plain_field(field: "Field[Any, Any]") -> "Field[Any, Any]":
    return field.target_field if isinstance(field, ForeignKey) else field


def _as_text(field: "Field[Any, Any]") -> Conversion | None:
    """Return the conversion for types that SQLite stores as text."""
    if connection.vendor != "sqlite":
        return None
    if isinstance(field, UUIDField):
        return attrgetter("hex")
    if isinstance(field, DecimalField):
        return f"{{:.{field.decimal_places}f}}".format
    return str if isinstance(field, DateField) else None


def _document(value: Any) -> str:
    """Encode the value as JSON."""
    # The fast encoder's output is used if all databases accept it: PostgreSQL rejects \u0000 in jsonb.
    try:
        encoded = _encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return sanitize.document(value)
    return sanitize.document(value) if b"\\u0000" in encoded else encoded.decode()
