"""What Gemini is asked: https://ai.google.dev/api/generate-content.

A message that the very model wrote is replayed from its parts. Calls that were made elsewhere have no parts, and Gemini
takes no function call without them, so those and their results are told as plain text.
"""

import base64
from collections.abc import Iterator, Sequence

from google.genai import types

from chat.engine.messages import AssistantMessage, Image, Message, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest
from chat.providers.base import wire_name
from chat.providers.gemini.parts import Json, own_parts
from chat.providers.tool_text import call_text, result_text
from tools.base import ToolSpec


def config(request: CompletionRequest) -> types.GenerateContentConfig:
    """All of the request but its model.

    The contents go as the body's own JSON: the SDK's checks of them cost 350 ms of CPU at 1,000 messages.
    """
    return types.GenerateContentConfig(
        system_instruction=request.instructions or None,
        temperature=request.sampling.temperature,
        max_output_tokens=request.sampling.max_output_tokens,
        tools=[_declarations(request.tools)] if request.tools else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,
        http_options=types.HttpOptions(extra_body={"contents": _contents(request)}),
    )


def _declarations(tools: Sequence[ToolSpec]) -> types.Tool:
    return types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name=wire_name(tool.name),
                description=tool.description,
                parameters_json_schema=tool.parameters,
            )
            for tool in tools
        ]
    )


def _contents(request: CompletionRequest) -> list[Json]:
    contents: list[Json] = []
    for said, results in _exchanges(request.messages):
        contents += _replayed(said, results, request.model) or _told(said, results)
    return [content for content in contents if content["parts"]]


def _exchanges(messages: Sequence[Message]) -> Iterator[tuple[UserMessage | AssistantMessage, list[ToolMessage]]]:
    """Each message of a person or a model, with the results of the calls that it made."""
    said: UserMessage | AssistantMessage = UserMessage(text="")
    results: list[ToolMessage] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            results.append(message)
        else:
            yield said, results
            said, results = message, []
    yield said, results


def _replayed(
    said: UserMessage | AssistantMessage, results: Sequence[ToolMessage], model: str
) -> tuple[Json, Json] | None:
    """The message as the model gave it; None where it is another's, or not each call has its one result.

    Gemini refuses calls without results: https://ai.google.dev/gemini-api/docs/function-calling.
    """
    if not isinstance(said, AssistantMessage):
        return None
    parts = own_parts(said, model)
    if parts is None:
        return None
    made = [part["functionCall"] for part in parts if "functionCall" in part]
    calls = dict(zip((call.call_id for call in said.tool_calls), made, strict=False))
    if len(calls) != len(made) or sorted(calls) != sorted(result.call_id for result in results):
        return None
    responses = [_function_response(calls[result.call_id], result) for result in results]
    return _content("model", parts), _content("user", responses)


def _function_response(call: Json, result: ToolMessage) -> Json:
    """https://ai.google.dev/api/caching#FunctionResponse names the keys `output` and `error`."""
    answer = {"name": call["name"], "response": {"error" if result.is_error else "output": result.content}}
    return {"functionResponse": answer | ({"id": call["id"]} if "id" in call else {})}


def _told(said: UserMessage | AssistantMessage, results: Sequence[ToolMessage]) -> tuple[Json, Json]:
    parts: list[Json] = [{"text": said.text}] if said.text else []
    if isinstance(said, UserMessage):
        role = "user"
        parts += [{"inlineData": _inline_data(image)} for image in said.images]
    else:
        role = "model"
        parts += [{"text": call_text(call)} for call in said.tool_calls]
    return _content(role, parts), _content("user", [{"text": result_text(result)} for result in results])


def _inline_data(image: Image) -> Json:
    return {"mimeType": image.media_type, "data": base64.b64encode(image.data).decode()}


def _content(role: str, parts: Sequence[Json]) -> Json:
    return {"role": role, "parts": parts}
