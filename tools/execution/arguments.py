"""The arguments of a call as a model writes them: JSON, with what models add to it and leave out of it."""

import math
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

FENCE: Final = "```"
MAX_WRAPPINGS: Final = 8
"""Code fences and control tokens that are removed from behind an object."""

NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")


def decode_object(arguments: str) -> dict[str, Any] | None:
    """Return the object that the text of a model means, or None. Nothing and null mean no arguments."""
    given: Any = arguments
    try:
        # A text within the text is an object that was encoded twice.
        for _ in range(2):
            if isinstance(given, str):
                given = _decode(given)
    except (msgspec.DecodeError, RecursionError):
        return None
    if given is None:
        return {}
    return given if isinstance(given, dict) else None


def _decode(text: str) -> Any:
    """Return the JSON value of a text, also from within a code fence or before tokens of the model's format."""
    try:
        return msgspec.json.decode(text) if text and not text.isspace() else None
    except msgspec.DecodeError:
        plain = text.strip().removeprefix(FENCE).removeprefix("json").lstrip()
        for _ in range(MAX_WRAPPINGS):
            if plain.endswith(FENCE):
                plain = plain.removesuffix(FENCE).rstrip()
            elif plain.endswith("|>"):
                plain = plain[: plain.rfind("<|")].rstrip()
        if not (plain.startswith("{") and plain.endswith("}")):
            raise
        return msgspec.json.decode(plain)


def coerce(given: dict[str, Any], params: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the params with each value in the type that its field takes, if there is no doubt what the model meant.

    Null for a param with a default is that default. Values in doubt stay as they are, and are found invalid later.
    """
    # Nearly all calls are right as they are. To read the types of the fields takes a tenth of a millisecond.
    if None not in given.values() and _fits(given, params):
        return given
    fields = {field.encode_name: field for field in msgspec.structs.fields(params)}
    found = dict(given)
    for name, value in given.items():
        field = fields.get(name)
        if field is None:
            continue
        if value is None and not field.required:
            del found[name]
        elif not _fits(value, field.type):
            found[name] = next((meant for meant in _meanings(value) if _fits(meant, field.type)), value)
    return found


def _fits(value: Any, kind: Any) -> bool:
    """Return whether a value of JSON has the type of a field, and is within its bounds."""
    try:
        msgspec.convert(value, type=kind)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True


def _meanings(value: Any) -> Iterator[Any]:
    """Yield what a value means in other types: a text that is JSON, a whole float."""
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    if not isinstance(value, str):
        return
    text = value.strip()
    if text.lower() in {"true", "false"}:
        yield text.lower() == "true"
    elif NUMBER.fullmatch(text):
        number = float(text)
        if number.is_integer():
            yield int(number)
        if math.isfinite(number):
            yield number
    elif text.startswith(("[", "{")):
        try:
            yield msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return
