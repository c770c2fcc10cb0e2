"""Covers `chat.providers.anthropic.requests`, `chat.providers.anthropic.limits`."""

import base64
import json
from typing import Any

import pytest

from chat.engine.messages import AssistantMessage, Image, Message, ToolCall, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest, SamplingOptions
from chat.providers.anthropic.limits import max_tokens
from chat.providers.anthropic.provider import Anthropic
from chat.providers.anthropic.requests import body, encode
from tests.chat.providers.fake_anthropic import unmarked
from tools.base import ToolSpec

TOOLS = tuple(ToolSpec(name=f"fs.{name}", description="d", parameters={"type": "object"}) for name in ("read", "list"))


def sent(*messages: Message, **options: Any) -> dict[str, Any]:
    request = CompletionRequest(model="m", messages=messages, **({"tools": TOOLS} | options))
    return json.loads(encode(body(request, 100)))


def messages(*given: Message, **options: Any) -> list[Any]:
    """Return the messages as they are sent, each as its role and its blocks, without marks of the cache."""
    return [(one["role"], one["content"]) for one in unmarked(sent(*given, **options)["messages"])]


def called(*call_ids: str, arguments: str = "{}") -> AssistantMessage:
    calls = tuple(ToolCall(call_id=call_id, name="fs.read", arguments=arguments) for call_id in call_ids)
    return AssistantMessage(text="", tool_calls=calls)


def result(call_id: str, content: str = "found", **fields: Any) -> ToolMessage:
    return ToolMessage(call_id=call_id, name="fs.read", content=content, **fields)


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def test_blank_texts_are_left_out_and_roles_alternate() -> None:
    found = messages(
        UserMessage(text="a"),
        AssistantMessage(text=" \n"),
        UserMessage(text="b"),
        AssistantMessage(text="c"),
        AssistantMessage(text="d"),
        UserMessage(text=" ", images=(Image(media_type="image/png", data=b"png"),)),
        instructions=" ",
    )
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"png").decode()}
    assert found == [
        ("user", [text("a"), text("b")]),
        ("assistant", [text("c"), text("d")]),
        ("user", [{"type": "image", "source": source}]),
    ]


@pytest.mark.parametrize("given", [(), (UserMessage(text=""),), (AssistantMessage(text="a"), UserMessage(text="b"))])
def test_conversation_begins_with_the_user(given: tuple[Message, ...]) -> None:
    role, content = messages(*given)[0]
    assert (role, content[0]["text"].strip() != "") == ("user", True)


def test_results_of_an_answer_are_one_message_directly_behind_it() -> None:
    found = messages(
        UserMessage(text="a"),
        called("toolu_1", "call:2"),
        result("call:2", " "),
        result("toolu_1", is_error=True),
        UserMessage(text="b"),
        AssistantMessage(text="c"),
        called("toolu_1"),
        result("toolu_1"),
    )
    (_, calls), (role, results) = found[1:3]
    ids = [call["id"] for call in calls]
    assert role == "user"
    assert results[:2] == [
        {"type": "tool_result", "tool_use_id": ids[1]},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "found", "is_error": True},
    ]
    assert results[2] == text("b")
    assert {call["name"] for call in calls} == {"fs_read"}
    again = found[3][1][1]["id"]
    assert found[4][1][0]["tool_use_id"] == again
    assert len({*ids, again}) == 3
    assert all(call_id.isascii() and ":" not in call_id for call_id in ids)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"b": 1, "a": [2.0]}', {"b": 1, "a": [2.0]}),
        ("", {}),
        ("null", {}),
        ('{"path": "a"', {"invalid_arguments": '{"path": "a"'}),
        ('{"a": 1}\n```', {"a": 1}),
        ('{"a": 1} {}', {"invalid_arguments": '{"a": 1} {}'}),
        ("[1]", {"invalid_arguments": "[1]"}),
    ],
)
def test_input_of_a_call_is_an_object(arguments: str, given: dict[str, Any]) -> None:
    found = messages(UserMessage(text="a"), called("c", arguments=arguments), result("c"))
    assert found[1][1][0]["input"] == given


def test_calls_and_results_are_text_for_a_model_without_tools() -> None:
    found = messages(UserMessage(text="a"), called("c"), result("c"), result("lost"), tools=())
    assert [block["type"] for _, blocks in found for block in blocks] == ["text"] * 4
    assert "fs.read" in found[1][1][0]["text"]
    assert "found" in found[2][1][0]["text"]


def test_cache_is_marked_at_four_places_that_move_with_the_conversation() -> None:
    given = [UserMessage(text="a"), called("c1"), result("c1"), called("c2", "c3"), result("c2"), result("c3")]
    found = sent(*given, instructions="Be brief.")
    marked = [json.dumps(block) for one in found["messages"] for block in one["content"] if "cache_control" in block]
    assert ["c1" in marked[0], "c3" in marked[1], len(marked)] == [True, True, 2]
    assert "cache_control" in found["system"][-1]
    assert ["cache_control" in tool for tool in found["tools"]] == [False, True]


@pytest.mark.parametrize(
    ("model", "asked", "tokens"),
    [
        ("claude-sonnet-4-5", None, 32_000),
        ("claude-sonnet-4-5", 40_000, 40_000),
        ("claude-3-5-haiku-latest", None, 8_192),
        ("claude-3-haiku-20240307", 9_000, 4_096),
        ("claude-3-haiku-20240307", 9, 9),
        ("some-other-model", None, 32_000),
    ],
)
def test_longest_answer_is_always_named_and_within_the_limit_of_the_model(
    model: str, asked: int | None, tokens: int
) -> None:
    assert max_tokens(model, SamplingOptions(max_output_tokens=asked)) == tokens


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "stop": ("END",)}, {"top_p": 0.9, "stop_sequences": ["END"]}),
        ({"tool_choice": "fs.read"}, {"tool_choice": {"type": "tool", "name": "fs_read"}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"tool_choice": {"type": "none"}}),
        ({"parallel_tool_calls": False}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
    ],
)
def test_options_have_the_names_of_the_service(options: dict[str, Any], fields: dict[str, Any]) -> None:
    found = sent(UserMessage(text="a"), sampling=SamplingOptions(**options))
    assert found == found | fields
    assert options.keys() <= Anthropic.options
