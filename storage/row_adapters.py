"""The values of rows as a database's driver takes them: brought to what the column keeps, in one pass over a row."""

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
"""Fields whose Python values every driver of ours takes."""

_encode = msgspec.json.Encoder().encode


class Values:
    """Prepares rows, each with the values of these fields in their order.

    Most of a row are texts and counts that need nothing: those are looked at here, without a call for each.
    """

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
    """What the database wants of a field's value; nothing to do for what its driver takes as it is."""
    plain = _plain_field(field)
    if isinstance(plain, PLAIN):
        return None
    if isinstance(plain, JSONField) and plain.encoder is None:
        return _document
    if isinstance(plain, DateTimeField):
        return moment
    if isinstance(plain, UUIDField) and connection.features.has_native_uuid_field:
        return None
    return _as_text(plain) or sanitize.sanitizer(plain) or partial(_by_django, plain)


@lru_cache(maxsize=64)
def moment(value: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(value)


def plain(value: Any) -> Any:
    """A text, a number, a moment or a UUID as the driver takes it, whatever the column."""
    if isinstance(value, datetime):
        return moment(value)
    return value.hex if isinstance(value, UUID) and not connection.features.has_native_uuid_field else value


def _plain_field(field: "Field[Any, Any]") -> "Field[Any, Any]":
    return field.target_field if isinstance(field, ForeignKey) else field


def _as_text(field: "Field[Any, Any]") -> Conversion | None:
    """How SQLite keeps what it has no type for."""
    if connection.vendor != "sqlite":
        return None
    if isinstance(field, UUIDField):
        return attrgetter("hex")
    if isinstance(field, DecimalField):
        return partial(_digits, f".{field.decimal_places}f")
    return str if isinstance(field, DateField) else None


def _document(value: Any) -> str:
    """The value as JSON, by the quick way where that is as every database takes it."""
    try:
        encoded = _encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return sanitize.document(value)
    return sanitize.document(value) if b"\\u0000" in encoded else encoded.decode()


def _digits(form: str, value: Any) -> str:
    return format(value, form)


def _by_django(field: "Field[Any, Any]", value: Any) -> Any:
    return field.get_db_prep_save(value, connection)
