"""Structured answers: a JSON Schema (2020-12 and older drafts) that a run's last answer must match."""

import json
import re
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
import msgspec

MAX_SCHEMA_BYTES: Final = 64 * 1_024
MAX_SCHEMAS: Final = 256
MAX_PROBLEM_CHARACTERS: Final = 500
MAX_CORRECTIONS: Final = 2

INSTRUCTIONS: Final = "Answer only with JSON that matches this JSON Schema, without any other text:\n"
CORRECTION: Final = (
    "Your answer does not match the JSON Schema that it must match: {problem}. Answer again, only with the whole JSON."
)

# A model writes a fence around JSON, whatever it was asked for.
_FENCED: Final = re.compile(r"\s*```[a-zA-Z0-9]*\s*\n(.*?)\n?\s*```\s*", re.DOTALL)


class InvalidSchema(ValueError):
    """The text is not a schema. The message says why."""


class InvalidOutput(ValueError):
    """The text does not match the schema. The message says where."""


class OutputSchema(msgspec.Struct, frozen=True):
    """A schema, as JSON text. It is checked when it is parsed."""

    text: str

    @classmethod
    def of(cls, schema: Any) -> "OutputSchema":
        """Return the schema of a JSON object. Raises `InvalidSchema`."""
        text = json.dumps(schema)
        if len(text) > MAX_SCHEMA_BYTES:
            raise InvalidSchema(f"it may have at most {MAX_SCHEMA_BYTES} bytes as JSON")
        _validator(text)
        return cls(text)

    @property
    def fields(self) -> dict[str, Any]:
        """The schema as a JSON object."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    def parse(self, answer: str) -> Any:
        """Return the value that an answer is. Raises `InvalidOutput`."""
        fenced = _FENCED.fullmatch(answer)
        try:
            value = msgspec.json.decode(fenced[1] if fenced else answer)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidOutput(f"it is not JSON ({error})"[:MAX_PROBLEM_CHARACTERS]) from None
        problem = next(iter(_validator(self.text).iter_errors(value)), None)
        if problem is not None:
            place = "/".join(map(str, problem.instance_path)) or "the whole"
            raise InvalidOutput(f"at {place}: {problem.message}"[:MAX_PROBLEM_CHARACTERS])
        return value


@lru_cache(maxsize=MAX_SCHEMAS)
def _validator(text: str) -> jsonschema_rs.Validator:
    # Nothing is fetched, and patterns are matched in linear time: both come from callers.
    options = jsonschema_rs.RegexOptions(size_limit=1_000_000)
    try:
        return jsonschema_rs.validator_for(json.loads(text), offline=True, pattern_options=options)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        message = getattr(error, "message", None) or str(error)
        raise InvalidSchema(f"it is not a JSON Schema ({message[:MAX_PROBLEM_CHARACTERS]})") from None
