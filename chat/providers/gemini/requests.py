"""The requests to Gemini: https://ai.google.dev/api/generate-content.

A message that the same model wrote is replayed from its parts. Other calls and results become plain text.
"""

import base64
from collections.abc import Iterator, Sequence

from google.genai import types

from chat.engine.messages import AssistantMessage, Message, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest
from chat.providers.gemini.effort import thinking_config
from chat.providers.gemini.parts import Json, own_parts
from chat.providers.tool_text import call_text, result_text
from tools.registry import wire_name


def config(request: CompletionRequest) -> types.GenerateContentConfig:
    """Return everything of the request except its model."""
    contents: list[Json] = []
    for message, results in _exchanges(request.messages):
        # Gemini accepts no function call without the parts in which it was made, so others are written as text.
        contents += _replayed(message, results, request.model) or _as_text(message, results)
    declarations = [
        types.FunctionDeclaration(
            name=wire_name(tool.name),
            description=tool.description,
            parameters_json_schema=tool.parameters,
        )
        for tool in request.tools
    ]
    sampling = request.sampling
    schema = None if declarations else request.output_schema
    return types.GenerateContentConfig(
        system_instruction=request.instructions or None,
        temperature=sampling.temperature,
        max_output_tokens=sampling.max_output_tokens,
        top_p=sampling.top_p,
        stop_sequences=list(sampling.stop) if sampling.stop else None,
        seed=sampling.seed,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        thinking_config=thinking_config(request),
        # Models before Gemini 3 take either tools or a schema.
        response_mime_type="application/json" if schema else None,
        response_json_schema=schema.fields if schema else None,
        tool_config=_tool_config(sampling.tool_choice) if sampling.tool_choice and declarations else None,
        tools=[types.Tool(function_declarations=declarations)] if declarations else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,
        # The contents are passed as JSON of the body: the SDK's validation costs 350 ms of CPU for 1,000 messages.
        http_options=types.HttpOptions(
            extra_body={"contents": [content for content in contents if content["parts"]]},
        ),
    )


def _tool_config(choice: str) -> types.ToolConfig:
    """Return Gemini's form of `tool_choice`: https://ai.google.dev/api/caching#FunctionCallingConfig."""
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
    mode = types.FunctionCallingConfigMode(modes.get(choice, "ANY"))
    names = None if choice in modes else [wire_name(choice)]
    return types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(mode=mode, allowed_function_names=names)
    )


def _exchanges(messages: Sequence[Message]) -> Iterator[tuple[UserMessage | AssistantMessage, list[ToolMessage]]]:
    """Yield each message of a user or a model, with the results of the calls in it."""
    author: UserMessage | AssistantMessage = UserMessage(text="")
    results: list[ToolMessage] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            results.append(message)
        else:
            yield author, results
            author, results = message, []
    yield author, results


def _replayed(
    message: UserMessage | AssistantMessage, results: Sequence[ToolMessage], model: str
) -> tuple[Json, Json] | None:
    """Return the message as the model wrote it; None if another did, or not each call has exactly one result."""
    if not isinstance(message, AssistantMessage):
        return None
    parts = own_parts(message, model)
    if parts is None:
        return None
    made = [part["functionCall"] for part in parts if "functionCall" in part]
    calls = dict(zip((call.call_id for call in message.tool_calls), made, strict=False))
    # Gemini rejects calls without results: https://ai.google.dev/gemini-api/docs/function-calling.
    if len(calls) != len(made) or sorted(calls) != sorted(result.call_id for result in results):
        return None
    responses = []
    for result in results:
        call = calls[result.call_id]
        # The keys `output` and `error` are Gemini's: https://ai.google.dev/api/caching#FunctionResponse.
        response = {"name": call["name"], "response": {"error" if result.is_error else "output": result.content}}
        responses.append({"functionResponse": response | ({"id": call["id"]} if "id" in call else {})})
    return _content("model", parts), _content("user", responses)


def _as_text(message: UserMessage | AssistantMessage, results: Sequence[ToolMessage]) -> tuple[Json, Json]:
    parts: list[Json] = [{"text": message.text}] if message.text else []
    if isinstance(message, UserMessage):
        role = "user"
        for image in message.images:
            data = base64.b64encode(image.data).decode()
            parts.append({"inlineData": {"mimeType": image.media_type, "data": data}})
    else:
        role = "model"
        parts += [{"text": call_text(call)} for call in message.tool_calls]
    return _content(role, parts), _content("user", [{"text": result_text(result)} for result in results])


def _content(role: str, parts: Sequence[Json]) -> Json:
    return {"role": role, "parts": parts}
