"""The steps that matching a value with a JSON Schema takes, counted before it is matched.

References can make them exponential: a schema of a hundred bytes may need more steps than a machine makes in a year.
"""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

MAX_STEPS: Final = 50_000
"""The most evaluations of subschemas. The validator makes them in milliseconds, and counting takes longer."""

IN_PLACE: Final = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
OF_MEMBERS: Final = ("patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames")
OF_ITEMS: Final = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains")
OTHER_REFERENCES: Final = ("$dynamicRef", "$recursiveRef", "$id", "id", "$anchor", "$dynamicAnchor")
"""Keywords by which a reference can mean another place than its pointer says."""


def odd_reference(schema: Any, *, is_root: bool = True) -> str | None:
    """Return a keyword or reference whose steps cannot be counted; None if all are pointers such as `#/$defs/a`."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict):
        target = schema.get("$ref")
        if isinstance(target, str) and not (target == "#" or target.startswith("#/")):
            return target
        odd = next((name for name in OTHER_REFERENCES if isinstance(schema.get(name), str)), None)
        if odd is not None and not (is_root and odd in {"$id", "id"}):
            return odd
    return next((odd for part in parts if (odd := odd_reference(part, is_root=False)) is not None), None)


class Steps:
    """Counts the steps of a schema, from above: all alternatives of all keywords count."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[tuple[int, int], int] = {}

    def of(self, value: Any) -> int:
        """Return the steps for a value, or more than `MAX_STEPS`."""
        try:
            return self._count(self._root, value)
        except RecursionError:
            return MAX_STEPS + 1

    def _count(self, schema: Any, value: Any) -> int:
        if not isinstance(schema, dict):
            return 1
        # Equal values may be one object, and then their steps are equal too.
        key = id(schema), id(value)
        if key not in self._known:
            if len(self._known) > MAX_STEPS:
                return MAX_STEPS + 1
            # A schema that leads back to itself without a step into the value would never end.
            self._known[key] = MAX_STEPS + 1
            total = 1
            for part, target in self._parts(schema, value):
                total += self._count(part, target)
                if total > MAX_STEPS:
                    break
            self._known[key] = total
        return self._known[key]

    def _parts(self, schema: dict[str, Any], value: Any) -> Iterator[tuple[Any, Any]]:
        """Yield each subschema with the part of the value that it is about."""
        for part in _subschemas(schema, IN_PLACE):
            yield part, value
        if isinstance(schema.get("$ref"), str):
            yield target_of(self._root, schema["$ref"]), value
        if isinstance(value, dict):
            named = schema.get("properties")
            others = list(_subschemas(schema, OF_MEMBERS))
            for name, item in value.items():
                if isinstance(named, dict) and name in named:
                    yield named[name], item
                for part in others:
                    yield part, item
        elif isinstance(value, list):
            parts = list(_subschemas(schema, OF_ITEMS))
            for item in value:
                for part in parts:
                    yield part, item


def target_of(root: Any, pointer: str) -> Any:
    """Return the subschema at a pointer (RFC 6901); True if there is none, which the validator reports."""
    found = root
    for step in pointer.split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            return True
    return found


def _subschemas(schema: dict[str, Any], names: tuple[str, ...]) -> Iterator[Any]:
    for name in names:
        part = schema.get(name)
        if isinstance(part, list):
            yield from part
        elif name in {"dependentSchemas", "dependencies", "patternProperties"} and isinstance(part, dict):
            yield from part.values()
        elif part is not None:
            yield part
