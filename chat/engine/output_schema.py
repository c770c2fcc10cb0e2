"""Structured answers: a JSON Schema (2020-12 and older drafts) that a run's last answer must match."""

import json
import re
from typing import Any, Final

import msgspec

from web.json_schema import MAX_PROBLEM_CHARACTERS, InvalidSchema, compiled, problem_of

MAX_SCHEMA_BYTES: Final = 64 * 1_024
MAX_CORRECTIONS: Final = 2

INSTRUCTIONS: Final = "Answer only with JSON that matches this JSON Schema, without any other text:\n"
CORRECTION: Final = (
    "Your answer does not match the JSON Schema that it must match: {problem}. Answer again, only with the whole JSON."
)

# A model writes a fence around JSON, whatever it was asked for.
_FENCED: Final = re.compile(r"\s*```[a-zA-Z0-9]*\s*\n(.*?)\n?\s*```\s*", re.DOTALL)


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
        compiled(text)
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
        problem = problem_of(self.text, value)
        if problem is not None:
            raise InvalidOutput(problem)
        return value
