"""JSON Schemas (2020-12 and older drafts) from outside: checked, compiled, and matched with values.

InvalidSchema         the text is not a schema
"""

import json
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from web.schema_steps import MAX_STEPS, Steps, odd_reference

MAX_SCHEMAS: Final = 256
"""Compiled schemas that are remembered."""

MAX_PROBLEM_CHARACTERS: Final = 500
REFERENCE: Final = 'ref"'
"""The end of each keyword that refers to another place, in lower case."""

TOO_MANY: Final = f"the references of the schema lead to more than {MAX_STEPS} steps"


class InvalidSchema(ValueError):
    """The text is not a schema. The message says why."""


@lru_cache(maxsize=MAX_SCHEMAS)
def compiled(text: str) -> jsonschema_rs.Validator:
    """Return the validator of a schema, which is JSON text. Raises `InvalidSchema`."""
    try:
        schema = json.loads(text)
        odd = odd_reference(schema) if REFERENCE in text.lower() else None
    except RecursionError:
        raise InvalidSchema("it is nested too deeply") from None
    if REFERENCE in text.lower():
        if odd is not None:
            raise InvalidSchema(f"it has {odd[:MAX_PROBLEM_CHARACTERS]!r}; references must be pointers: #/$defs/NAME")
        if Steps(schema).of({}) > MAX_STEPS:
            raise InvalidSchema(TOO_MANY)
    # Nothing is fetched, and patterns are matched in linear time: both come from callers.
    options = jsonschema_rs.RegexOptions(size_limit=1_000_000)
    try:
        return jsonschema_rs.validator_for(schema, offline=True, pattern_options=options)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        message = getattr(error, "message", None) or str(error)
        raise InvalidSchema(f"it is not a JSON Schema ({message[:MAX_PROBLEM_CHARACTERS]})") from None


def problem_of(text: str, value: Any) -> str | None:
    """Return where and why a value does not match a schema; None if it does."""
    validator = compiled(text)
    # Without references, the steps grow only with the schema and the value.
    if REFERENCE in text.lower() and Steps(json.loads(text)).of(value) > MAX_STEPS:
        return TOO_MANY
    problem = next(iter(validator.iter_errors(value)), None)
    if problem is None:
        return None
    place = "/".join(map(str, problem.instance_path)) or "the whole"
    return f"at {place}: {problem.message}"[:MAX_PROBLEM_CHARACTERS]
