"""Client tools from functions, without a service. Covers `orchestrator_client.core.function_tools`."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
import pytest
from orchestrator_client import Client, ClientTool, FunctionTool

from chat.api.client_tools import client_tools
from chat.api.request_schemas import ClientToolIn


@dataclass
class Person:
    name: str
    age: int = 0


def book(guest: Person, nights: Annotated[int, msgspec.Meta(ge=1)], board: Literal["half", "full"] = "half") -> Any:
    """Book a room."""
    return {"guest": guest, "nights": nights, "board": board}


def anything(value, *, more=None) -> list[Any]:  # type: ignore[no-untyped-def]  # annotations are not required
    return [value, more]


def positional(word: str, /) -> str:
    return word


def text_of(result: Any) -> str:
    return msgspec.json.encode(result).decode()


def test_signature_is_a_schema_that_the_service_accepts() -> None:
    declaration = FunctionTool(book).declaration
    assert (declaration.name, declaration.description) == ("book", "Book a room.")
    schema = declaration.parameters
    assert schema["required"] == ["guest", "nights"]
    assert schema["properties"]["board"] == {"enum": ["full", "half"]}
    assert schema["properties"]["nights"] == {"type": "integer", "minimum": 1}
    assert schema["additionalProperties"] is False
    declared = [declaration, FunctionTool(anything).declaration, FunctionTool(lambda: None, name="a").declaration]
    bodies = [ClientToolIn.model_validate(msgspec.to_builtins(tool)) for tool in [*declared, ClientTool(name="b")]]
    assert [tool.name for tool in client_tools(bodies, ())] == ["book", "anything", "a", "b"]


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda *words: words, "a model cannot give \\*words"),
        (lambda **words: words, "a model cannot give \\*\\*words"),
        (positional, "a model cannot give word: str"),
    ],
)
def test_parameters_that_have_no_names_are_rejected(function: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        FunctionTool(function, name="a")


@pytest.mark.parametrize("function", [lambda: None, partial(book)])
def test_function_without_a_name_needs_one(function: Any) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a tool"):
        FunctionTool(function)
    with pytest.raises(ValueError, match="1 to 64 letters"):
        FunctionTool(function, name="fs.read")


def test_type_without_a_schema_is_rejected() -> None:
    def tool(value: asyncio.Event) -> None: ...

    with pytest.raises(TypeError, match="Event"):
        _ = FunctionTool(tool).declaration


def test_function_gets_values_of_its_types_and_its_own_defaults() -> None:
    tool = FunctionTool(book)
    expected = '{"data":{"guest":{"name":"Ann","age":0},"nights":2,"board":"half"}}'
    assert text_of(tool.call({"guest": {"name": "Ann", "age": 0}, "nights": 2})) == expected
    assert text_of(FunctionTool(anything).call({"value": {"a": 1}})) == '{"data":[{"a":1},null]}'
    assert text_of(FunctionTool(anything).call({"value": None, "more": 2})) == '{"data":[null,2]}'


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({}, "missing required field `guest`"),
        ([], "Expected `object`"),
        ({"guest": {"name": "Ann"}, "nights": 0}, "`int` >= 1"),
        ({"guest": {"name": "Ann"}, "nights": 1, "smoking": True}, "unknown field `smoking`"),
    ],
)
def test_invalid_params_are_a_failure_that_the_model_reads(params: Any, error: str) -> None:
    result = FunctionTool(book).call(params)
    assert error in result.error
    assert "data" not in text_of(result)


async def test_failure_of_a_function_is_a_bounded_error() -> None:
    def fails() -> None:
        raise LookupError("x" * 20_000)

    async def fails_later() -> None:
        raise LookupError("There is no such room.")

    assert len(FunctionTool(fails).call({}).error) == 10_000
    assert (await FunctionTool(fails_later).call_async({})).error == "LookupError: There is no such room."
    assert "unsupported" in FunctionTool(lambda: iter(()), name="a").call({}).error


def test_async_function_needs_the_async_client() -> None:
    async def tool() -> None: ...

    with Client("http://127.0.0.1:1") as client, pytest.raises(TypeError, match="use AsyncClient"):
        client.stream("Hi", client_tools=[tool])
