"""SQLite values as PostgreSQL values, and a digest of rows that is the same in both databases.

UnknownKind           a column has a type that this module does not convert
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec
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

Decode = Callable[[Any], Any]

DIGEST_BYTES: Final = 16
# Characters of JSON that are worth caching: most documents of a table are a few short ones.
SHORT: Final = 256


class UnknownKind(Exception):
    """The column has a type that this module does not convert."""


class Digest:
    """A digest of rows in any order: the sum of each row's BLAKE2b."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            self.rows += 1
            self._sum += int.from_bytes(blake2b(msgspec.msgpack.encode(row), digest_size=DIGEST_BYTES).digest(), "big")

    def hexadecimal(self) -> str:
        return f"{self._sum % 2 ** (8 * DIGEST_BYTES):0{2 * DIGEST_BYTES}x}"


def decoder(field: "Field[Any, Any]") -> Decode:
    """Return the function that converts the driver's values of a field, except None. Raises `UnknownKind`."""
    while isinstance(field, ForeignKey):
        field = field.target_field
    if isinstance(field, DecimalField):
        step = Decimal(1).scaleb(-field.decimal_places)
        # SQLite may have stored the number as the nearest double. Its shortest text is rounded to the field's digits.
        return lambda value: Decimal(str(value)).quantize(step)
    for kind, decode in KINDS.items():
        if isinstance(field, kind):
            return decode
    if isinstance(field, CharField | TextField | IntegerField):
        return sanitize.sanitizer(field) or str
    raise UnknownKind(f"{field} is of the kind {type(field).__name__}.")


def canonical(document: str) -> str:
    """Return JSON with sorted keys and numbers by value, so that equal documents are equal texts."""
    return _short_canonical(document) if len(document) <= SHORT else _canonical(document)


def _canonical(document: str) -> str:
    value = json.loads(document, parse_float=Decimal, parse_int=Decimal)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_number)


_short_canonical = lru_cache(maxsize=1_024)(_canonical)


def _number(value: Decimal) -> list[Any]:
    """Return sign, digits and exponent, without trailing zeros."""
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    short = text.rstrip("0")
    return [sign, short, int(exponent) + len(text) - len(short)] if short else [0]


def _document(value: str) -> str:
    if "\\u0000" in value or "\\ud" in value.lower():
        return sanitize.document(json.loads(value))
    return value


@lru_cache(maxsize=1_024)
def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


KINDS: Final[dict[type[Any], Decode]] = {
    UUIDField: UUID,
    DateTimeField: _moment,
    BooleanField: bool,
    FloatField: float,
    BinaryField: bytes,
    JSONField: _document,
    DateField: date.fromisoformat,
}
