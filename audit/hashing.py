"""The bytes that are hashed: the same for the same values in every database.

SQLite keeps JSON as its text, and PostgreSQL as numbers of any precision, so `1e16` returns as `10000000000000000`.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

import msgspec

FORMAT: Final = 1
"""The version of the format of an entry's hash, which the hash contains."""

FIRST: Final = bytes(32)
"""The hash that the first entry continues."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
MAX_EXPONENT: Final = 400
"""The largest exponent of a number that is written out. Floats end at 308."""

_pack = msgspec.msgpack.Encoder().encode
_encode = msgspec.json.Encoder(order="deterministic").encode


def number(text: str) -> int | float | str:
    """Return a number with a point or an exponent in one form, so that equal numbers are equal bytes."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return text
    if abs(found.adjusted()) > MAX_EXPONENT:
        return text
    whole = found.to_integral_value()
    return int(whole) if whole == found else float(found)


_decode = msgspec.json.Decoder(float_hook=number).decode


def document(text: str) -> Any:
    """Return the value of a JSON text. A text that cannot be decoded stands for itself."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return text


def encoded(values: Any) -> bytes:
    """Return values as canonical JSON."""
    return _encode(values)


def moment(value: datetime | str | None) -> str | None:
    """Return a moment of a database's driver as SQLite stores it: in UTC, without a zone."""
    if isinstance(value, datetime):
        return str(value.astimezone(UTC).replace(tzinfo=None))
    return value


def identifier(value: UUID | str | None) -> str | None:
    """Return a UUID of a database's driver as hexadecimal digits."""
    return value.hex if isinstance(value, UUID) else value


def commitment(salt: bytes, content: bytes) -> bytes:
    """Return the SHA-256 of a salt and a content."""
    return hashlib.sha256(salt + content).digest()


def entry_hash(number: int, time: datetime, texts: Sequence[str], committed: bytes, previous: bytes) -> bytes:
    """Return the hash of an entry. `texts` are its kind, subject, owner and actor."""
    microseconds = (time - EPOCH) // MICROSECOND
    return hashlib.sha256(_pack((FORMAT, number, microseconds, *texts, committed, previous))).digest()
