"""Schemas of an OpenAPI document as JSON Schemas (2020-12) that stand alone.

InvalidDocument      a document, or a part of it, cannot be used
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

REF: Final = "$ref"
SCHEMAS: Final = "#/components/schemas/"
DEFINITIONS: Final = "#/$defs/"
MAX_HOPS: Final = 16
"""References that lead to one another."""

MAX_DEPTH: Final = 32
MAX_DEFINITIONS: Final = 128
OPENAPI_ONLY: Final = frozenset({"discriminator", "xml", "externalDocs", "example", "nullable", "deprecated"})
"""Keywords that JSON Schema does not have, or that say nothing to a model."""


class InvalidDocument(ValueError):
    """A document cannot be used. The message is a part of a sentence."""


class References:
    """The references within one document. Nothing is read from another file or address."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def resolved(self, value: Any) -> Any:
        """Return a value, or what its reference leads to. Raises `InvalidDocument`."""
        for _ in range(MAX_HOPS):
            if not isinstance(value, dict) or REF not in value:
                return value
            value = self._at(value[REF])
        raise InvalidDocument(f"a reference leads to more than {MAX_HOPS} others")

    def _at(self, pointer: Any) -> Any:
        if not isinstance(pointer, str) or not pointer.startswith("#/"):
            raise InvalidDocument(f"the reference {str(pointer)[:80]!r} leads out of the document")
        found: Any = self._document
        for part in pointer[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise InvalidDocument(f"the reference {pointer[:80]!r} leads to nothing")
            found = found[key]
        return found

    def standalone(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return a schema with the definitions that it needs. Raises `InvalidDocument`."""
        needed: list[str] = []
        converted = _converted(schema, needed, MAX_DEPTH)
        definitions: dict[str, Any] = {}
        # The list grows while it is read: definitions refer to others.
        for name in needed:
            if name not in definitions:
                if len(definitions) == MAX_DEFINITIONS:
                    raise InvalidDocument(f"a schema needs more than {MAX_DEFINITIONS} definitions")
                definitions[name] = _converted(self._at(f"{SCHEMAS}{name}"), needed, MAX_DEPTH)
        return {**converted, **({"$defs": definitions} if definitions else {})}


def _converted(schema: Any, needed: list[str], depth: int) -> Any:
    """Return a schema of OpenAPI 3.0 or 3.1 as JSON Schema, and add the definitions that it refers to."""
    if not depth:
        raise InvalidDocument(f"a schema has more than {MAX_DEPTH} levels")
    if isinstance(schema, list):
        return [_converted(item, needed, depth - 1) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if REF in schema:
        pointer = schema[REF]
        if not isinstance(pointer, str) or not pointer.startswith(SCHEMAS) or "/" in pointer.removeprefix(SCHEMAS):
            raise InvalidDocument(f"the reference {str(pointer)[:80]!r} must be {SCHEMAS}NAME")
        needed.append(pointer.removeprefix(SCHEMAS))
        return {REF: DEFINITIONS + pointer.removeprefix(SCHEMAS)}
    return dict(_fields(schema, needed, depth))


def _fields(schema: Mapping[str, Any], needed: list[str], depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in schema.items():
        if name in {"properties", "patternProperties", "$defs"} and isinstance(value, dict):
            # Names of properties are not keywords: one may be called `example`.
            yield name, {key: _converted(item, needed, depth - 1) for key, item in value.items()}
        elif name in {"exclusiveMinimum", "exclusiveMaximum"} and isinstance(value, bool):
            # OpenAPI 3.0 has a flag beside the bound, and JSON Schema another bound.
            if value and (bound := schema.get(name.removeprefix("exclusive").lower())) is not None:
                yield name, bound
        elif name in {"enum", "const", "default", "examples", "required"}:
            yield name, value
        elif name == "type" and schema.get("nullable") is True and isinstance(value, str):
            yield name, [value, "null"]
        elif name not in OPENAPI_ONLY and not name.startswith("x-"):
            yield name, _converted(value, needed, depth - 1)
