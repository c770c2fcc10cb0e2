"""Structured answers: schemas, values, corrections, and the forms that services take.

Covers `web.json_schema`.
"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.engine.messages import ToolCall, UserMessage
from chat.engine.model_port import CompletionRequest, Finished
from chat.engine.output_schema import MAX_SCHEMA_BYTES, InvalidOutput, OutputSchema
from chat.providers.gemini.requests import config
from chat.providers.local.requests import body
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.provider import OpenAI
from chat.providers.scripted import Line, Scripted, text
from tests.chat.providers.fake_openai import DONE, finish, said, streamed
from tests.chat.providers.test_proxies import TIMEOUTS
from tests.conftest import Start
from tests.fake_service import fake_service
from tools.base import ToolSpec
from web.json_schema import InvalidSchema

STOP = Finished(reason="stop")
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ANN = {"name": "Ann", "age": 7}
TOOL = ToolSpec(name="fs.read", description="Reads.", parameters={"type": "object", "properties": {}})


@pytest.mark.parametrize(
    "answer", ['{"name":"Ann","age":7}', '\n {"name":"Ann","age":7}\n', '```json\n{"name":"Ann","age":7}\n```']
)
def test_answer_is_read_with_or_without_a_fence(answer: str) -> None:
    assert OutputSchema.of(PERSON).parse(answer) == ANN


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("", "not JSON"),
        ("Here it is: {}", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{}", "the whole: .*required"),
        ('{"name": "Ann", "age": -1}', "at age"),
        ('{"name": 1, "age": 1}', "at name"),
    ],
)
def test_answer_that_does_not_match_is_described_by_its_first_problem(answer: str, problem: str) -> None:
    with pytest.raises(InvalidOutput, match=problem) as caught:
        OutputSchema.of(PERSON).parse(answer)
    assert len(str(caught.value)) <= 500


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": "#"}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"type": 1},
        {"pattern": "("},
        {"$ref": "https://elsewhere.example/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/nowhere"},
        {"description": "x" * MAX_SCHEMA_BYTES},
        nested(800),
    ],
)
def test_invalid_schema_is_refused_and_nothing_is_fetched(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchema):
        OutputSchema.of(schema)


def test_pattern_of_a_caller_takes_linear_time() -> None:
    schema = OutputSchema.of({"type": "string", "pattern": "^(a+)+$"})
    with pytest.raises(InvalidOutput):
        schema.parse(json.dumps("a" * 100_000 + "b"))


SCHEMAS = st.recursive(
    st.sampled_from(
        [{"type": "integer"}, {"type": "string"}, {"type": "boolean"}, {"type": "null"}, {"enum": [1, "a"]}]
    ),
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item, "minItems": 1}, inner),
        st.builds(lambda item: {"type": "object", "properties": {"a": item}, "required": ["a"]}, inner),
    ),
    max_leaves=4,
)


def example(schema: dict[str, Any]) -> Any:
    """Return a value that matches a schema of `SCHEMAS`."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "array":
        return [example(schema["items"])]
    if schema["type"] == "object":
        return {"a": example(schema["properties"]["a"])}
    return {"integer": 1, "string": "x", "boolean": True, "null": None}[schema["type"]]


@settings(max_examples=200)
@given(SCHEMAS)
def test_valid_values_of_any_schema_are_taken_and_others_refused(schema: dict[str, Any]) -> None:
    parsed = OutputSchema.of(schema)
    assert parsed.parse(json.dumps(example(schema))) == example(schema)
    with pytest.raises(InvalidOutput):
        parsed.parse('{"b": 1.5}')


async def asked(start: Start, *answers: list[Line], **fields: Any) -> tuple[Any, Scripted]:
    model = Scripted(*answers)
    return await (await start(model)).ask(message="Who?", output_schema=PERSON, **fields), model


async def test_value_is_part_of_the_end_and_of_the_json_answer(start: Start) -> None:
    answer, model = await asked(start, [text(json.dumps(ANN)), STOP])
    assert answer.one("end")["output"] == ANN
    assert "JSON Schema" in model.requests[0].instructions
    api = await start(Scripted([text(json.dumps(ANN)), STOP]))
    body = {"message": "Who?", "output_schema": PERSON, "stream": False}
    assert (await api.call("POST", "/chat/stream", json=body)).json()["output"] == ANN


async def test_model_corrects_its_answer_without_tools(start: Start) -> None:
    called = ToolCall(call_id="1", name="fs.list", arguments="{}")
    tools = [called, Finished(reason="tool_calls")]
    answer, model = await asked(start, tools, [text("Ann!"), STOP], [text(json.dumps(ANN)), STOP])
    assert answer.one("end")["output"] == ANN
    assert answer.one("retry")["code"] == "output_invalid"
    assert [bool(request.tools) for request in model.requests] == [True, True, False]
    last = model.requests[-1].messages[-1]
    assert isinstance(last, UserMessage)
    assert "it is not JSON" in last.text


async def test_answer_that_is_never_right_is_a_named_error(start: Start) -> None:
    answer, model = await asked(start, *[[text("Ann!"), STOP]] * 3)
    assert answer.one("error")["code"] == "output_invalid"
    assert len(model.requests) == 3
    assert not [event for event in answer.events if event["type"] == "end"]


async def test_invalid_schema_is_a_422(start: Start) -> None:
    answer = await (await start(Scripted())).ask(message="Hi", output_schema={"type": "nothing"})
    assert (answer.status, answer.json()["code"]) == (422, "invalid_schema")


async def test_services_get_the_schema_in_their_own_form() -> None:
    schema = OutputSchema.of(PERSON)
    plain = CompletionRequest(model="m", messages=(UserMessage(text="Who?"),), output_schema=schema)
    local = msgspec.json.decode(body(plain))
    assert local["response_format"] == {"type": "json_schema", "json_schema": {"schema": PERSON}}
    assert config(plain).response_json_schema == PERSON
    # Gemini's older models take no schema beside tools.
    assert config(msgspec.structs.replace(plain, tools=(TOOL,))).response_json_schema is None
    async with fake_service() as fake:
        fake.play(streamed(said("{}"), finish(), DONE))
        openai = OpenAI(Endpoint(name="a", base_url=fake.url), TIMEOUTS)
        async for _ in openai.stream(plain):
            pass
        await openai.close()
    assert fake.requests[0].body["response_format"]["json_schema"]["schema"] == PERSON
