"""Covers `tools.client_tools.declared`."""

from typing import Any

import pytest
from pydantic import ValidationError

from chat.api.client_tools import client_tools
from chat.api.request_schemas import ChatIn
from tools.base import ToolError
from web.errors import ApiError

OBJECT: dict[str, Any] = {"type": "object"}
NAMED = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def nested(depth: int) -> dict[str, Any]:
    schema = OBJECT
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def chat_in(*tools: dict[str, Any]) -> ChatIn:
    return ChatIn.model_validate({"message": "Hi", "client_tools": list(tools)})


@pytest.mark.parametrize(
    ("tool", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a.b"}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "ä"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"name": "a", "description": None}, "description"),
        ({"name": "a", "description": "a" * 8_193}, "description"),
        ({"name": "a", "parameters": []}, "parameters"),
        ({"name": "a", "parameters": None}, "parameters"),
        ({"name": "a", "strict": True}, "strict"),
    ],
)
def test_malformed_declaration_is_rejected_by_field(tool: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        chat_in(tool)
    assert [problem["loc"] for problem in caught.value.errors()] == [("client_tools", 0, field)]


@pytest.mark.parametrize(
    ("tools", "field"),
    [
        ([{"name": "fs_read", "parameters": OBJECT}], "client_tools.0.name"),
        ([{"name": "plain", "parameters": OBJECT}], "client_tools.0.name"),
        ([{"name": "a"}, {"name": "a"}], "client_tools.1.name"),
        ([{"name": "a"}, {"name": "b", "parameters": {}}], "client_tools.1.parameters"),
        ([{"name": "a", "parameters": {"type": "string"}}], "client_tools.0.parameters"),
        ([{"name": "a", "parameters": {"type": ["object", "null"]}}], "client_tools.0.parameters"),
        ([{"name": "a", "parameters": {**OBJECT, "properties": {"a": {"type": "text"}}}}], "client_tools.0.parameters"),
        ([{"name": "a", "parameters": {**OBJECT, "pattern": "("}}], "client_tools.0.parameters"),
        ([{"name": "a", "parameters": {**OBJECT, "$ref": "https://example.com/a"}}], "client_tools.0.parameters"),
        ([{"name": "a", "parameters": nested(16)}], "client_tools.0.parameters"),
        ([{"name": f"a{number}", "description": "a" * 8_000} for number in range(9)], "client_tools"),
    ],
)
def test_declaration_that_cannot_be_used_is_rejected_by_field(tools: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(ApiError) as caught:
        client_tools(chat_in(*tools).client_tools, ("fs.read", "plain"))
    assert (caught.value.status, caught.value.code) == (422, "invalid_client_tool")
    assert [problem["field"] for problem in caught.value.detail] == [field]


def test_too_many_declarations_are_rejected() -> None:
    with pytest.raises(ValidationError):
        chat_in(*({"name": f"a{number}"} for number in range(129)))
    assert len(client_tools(chat_in(*({"name": f"a{number}"} for number in range(128))).client_tools, ())) == 128


@pytest.mark.parametrize("params", [{}, {"city": 1}, {"city": None}, [], "Paris", None])
def test_params_that_do_not_match_the_schema_are_an_error_that_names_the_fields(params: Any) -> None:
    (tool,) = client_tools(chat_in({"name": "weather", "parameters": NAMED}).client_tools, ())
    tool.check({"city": "Paris"})
    with pytest.raises(ToolError, match="city") as caught:
        tool.check(params)
    assert caught.value.code == "invalid_params"
