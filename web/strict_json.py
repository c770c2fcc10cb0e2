"""Strict parsing of JSON from outside (RFC 8259, and I-JSON, RFC 7493, where the two differ).

NotJson               the text is not JSON, or two parsers might understand it differently
"""

import json
import math
from collections import Counter
from typing import Any, Final

MAX_DEPTH: Final = 100
"""Nesting of objects and lists."""

MAX_VALUES: Final = 100_000
"""Values in all. Parsing one takes about a microsecond, in which nothing else runs."""


class NotJson(ValueError):
    """The text is not JSON; the message says why."""


def loads(data: bytes) -> Any:
    """Parse JSON in UTF-8. Reject duplicate keys, NaN, infinities, NUL, lone surrogates, many values and deep ones."""
    if _marks(data) > MAX_VALUES and _marks(_without_strings(data)) > MAX_VALUES:
        raise NotJson(f"The body has too many values: {MAX_VALUES} are the most.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotJson("The body is not UTF-8.") from None
    try:
        value = _decoder.decode(text)
    except NotJson:
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise NotJson(f"The body is not JSON: {error}.") from None
    if is_too_deep(text, value):
        raise _too_deep()
    # NUL and lone surrogates can only come from escapes: the decoder rejects raw control characters, and UTF-8 has no
    # surrogates (RFC 3629, section 3).
    if "\\u" in text:
        _check(value)
    return value


def _marks(data: bytes) -> int:
    """Count the characters that begin an object or a list, or separate values."""
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def _without_strings(data: bytes) -> bytes:
    """Return the text without its strings. Invalid text is counted up to its first error."""
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # So many strings are too many values by themselves, and splitting them would take long.
    if plain.count(b'"') > 4 * MAX_VALUES:
        return b"," * (MAX_VALUES + 1)
    return b"".join(plain.split(b'"')[::2])


def is_too_deep(text: str, value: Any) -> bool:
    """Return whether the value of a JSON text is nested more than `MAX_DEPTH` levels."""
    # The counts are cheap, and a text with fewer brackets cannot be nested too deeply.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    # Level by level and not by recursion, which takes stack for each level, in no more memory than the value has.
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        insides = [each.values() if isinstance(each, dict) else each for each in level]
        level = [item for inside in insides for item in inside if isinstance(item, dict | list | tuple)]
        if not level:
            return False
    return True


def _too_deep() -> NotJson:
    return NotJson(f"The body is nested too deeply: {MAX_DEPTH} levels are the most.")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    # Parsers differ in which of two equal keys counts (RFC 8259, section 4).
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise NotJson(f"The key {twice[:80]!r} stands twice in one object.")
    return found


def _constant(name: str) -> Any:
    raise NotJson(f"{name} is not JSON.")


def _float(text: str) -> float:
    number = float(text)
    # Python reads 1e999 as infinity, which JSON cannot express.
    if math.isinf(number):
        raise NotJson("A number is too large.")
    return number


def _check(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise NotJson("A text has a NUL character.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotJson("A text has half of a surrogate pair.") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key)
            _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)


_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float)
