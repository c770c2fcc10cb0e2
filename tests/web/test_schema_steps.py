"""Schemas that would take too long to match are refused, before the validator sees them."""

import json
from typing import Any

import pytest

from web.json_schema import TOO_MANY, InvalidSchema, compiled, problem_of


def doubling(levels: int, keyword: str) -> dict[str, Any]:
    twice = {f"a{at}": {keyword: [{"$ref": f"#/$defs/a{at + 1}"}] * 2} for at in range(levels)}
    return {"$defs": {**twice, f"a{levels}": {"type": "object"}}, "$ref": "#/%24defs/a0"}


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        (doubling(40, "allOf"), "steps"),
        (doubling(40, "anyOf"), "steps"),
        ({"$ref": "#"}, "steps"),
        ({"$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}, "anyOf": [{"$ref": "#/$defs/a"}]}, "steps"),
        ({"$ref": "#name", "$defs": {"a": {"$anchor": "name"}}}, "#name"),
        ({"$dynamicRef": "#a"}, "dynamicRef"),
        ({"properties": {"a": {"$id": "https://example.com/b", "items": {"$ref": "#"}}}}, r"\$id"),
    ],
)
def test_schema_whose_references_cannot_be_followed_in_time_is_invalid(schema: Any, named: str) -> None:
    with pytest.raises(InvalidSchema, match=named):
        compiled(json.dumps(schema))


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_value_that_a_recursive_schema_would_visit_too_often_does_not_match(keyword: str) -> None:
    items = {"type": "array", "items": {keyword: [{"$ref": "#"}, {"$ref": "#"}]}}
    schema = json.dumps({"type": "object", "properties": {"a": items}})
    if keyword != "oneOf":
        assert problem_of(schema, nested(4)) is None
    assert problem_of(schema, nested(40)) == TOO_MANY


def test_ordinary_references_and_large_values_match() -> None:
    tree = {
        "$id": "https://example.com/tree",
        "$defs": {"leaf/s": {"type": "integer"}},
        "type": "object",
        "properties": {"$ref": {"$ref": "#/$defs/leaf~1s"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "additionalProperties": False,
    }
    value: Any = {"$ref": 1, "children": [{"$ref": 2} for _ in range(5_000)]}
    for _ in range(50):
        value = {"children": [value]}
    assert problem_of(json.dumps(tree), value) is None
    assert "integer" in str(problem_of(json.dumps(tree), {"$ref": "1"}))
