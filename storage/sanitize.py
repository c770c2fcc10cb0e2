"""Sanitizing of text and numbers, so that model output can never fail an insert.

PostgreSQL rejects NUL and half surrogate pairs in text, and it enforces lengths and ranges, which SQLite does not. Such
values are replaced by U+FFFD, truncated, or clamped to the nearest valid number.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.db.models import CharField, Field, IntegerField, JSONField, TextField
from django.db.models.fields import PositiveIntegerRelDbTypeMixin

Fit = Callable[[Any], Any]

REPLACEMENT: Final = "\ufffd"
BITS: Final = {"SmallIntegerField": 15, "PositiveSmallIntegerField": 15, "IntegerField": 31, "PositiveIntegerField": 31}
"""Bits of PostgreSQL's integer types, without the sign; all others have 63."""


def sanitizer(field: "Field[Any, Any]") -> Fit | None:
    """Return the function that makes a value of the field storable; None if every value is."""
    if isinstance(field, JSONField):
        return partial(document, encoder=field.encoder)
    if isinstance(field, CharField | TextField):
        return partial(text, most=field.max_length)
    if isinstance(field, IntegerField):
        lowest, highest = bounds(field)
        return partial(number, lowest=lowest, highest=highest)
    return None


def bounds(field: "IntegerField[Any, Any]") -> tuple[int, int]:
    """Return the lowest and the highest number that the field stores."""
    highest = 2 ** BITS.get(field.get_internal_type(), 63) - 1
    return 0 if isinstance(field, PositiveIntegerRelDbTypeMixin) else -highest - 1, highest


def text(value: str, most: int | None = None) -> str:
    """Return at most `most` characters of the text, without NUL and half surrogate pairs."""
    if most is not None and len(value) > most:
        value = value[:most]
    if "\x00" in value:
        value = value.replace("\x00", REPLACEMENT)
    if value.isascii() or _is_unicode(value):
        return value
    # UTF-16 joins surrogate halves that are adjacent, and U+FFFD replaces the others.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def number(value: int, *, lowest: int, highest: int) -> int:
    return value if lowest <= value <= highest else min(max(value, lowest), highest)


def document(value: Any, encoder: type[json.JSONEncoder] | None = None) -> str:
    """Return the value as JSON (RFC 8259) with texts as `text` returns them, and null for NaN and infinities."""
    encoded = json.dumps(value, ensure_ascii=False, cls=encoder)
    if "\\u0000" in encoded or "NaN" in encoded or "Infinity" in encoded or not _is_unicode(encoded):
        encoded = json.dumps(clean(value), ensure_ascii=False, allow_nan=False, cls=encoder)
    return encoded


def clean(value: Any) -> Any:
    """Return a JSON value with its texts as `text` returns them, and null for NaN and infinities."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {text(key) if isinstance(key, str) else key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    # The difference is NaN for NaN and for infinities, and 0 for every other number.
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
