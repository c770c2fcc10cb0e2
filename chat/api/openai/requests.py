"""The conversion of OpenAI's requests into a `RunRequest`."""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from access.caller import Caller
from chat.api.client_tools import client_tools
from chat.api.images import image_of_url
from chat.api.openai.model_names import named_model
from chat.api.openai.schemas import CompletionIn, MessageIn, ResponseFormat, TextPart, ToolChoice
from chat.engine.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from chat.engine.model_port import SamplingOptions
from chat.engine.output_schema import OutputSchema
from chat.providers.registry import ProviderRegistry
from chat.starting.request import ALL_TOOLS, RunRequest
from web.errors import ApiError
from web.json_schema import InvalidSchema

ANY_OBJECT: Final[dict[str, Any]] = {"type": "object"}


def request_of(
    body: CompletionIn, caller: Caller, session: str, providers: ProviderRegistry, server_tools: Sequence[str] = ()
) -> RunRequest:
    """Return the request for a run. `session` is the header `X-Session-Id`. Raise `ApiError` (422).

    The client's tools may not have the names of `server_tools`.
    """
    named = named_model(body.model, providers)
    form = body.response_format or ResponseFormat(type="text", json_schema=None)
    json_schema = form.json_schema
    try:
        session_id = UUID(session) if session else None
    except ValueError:
        raise ApiError(422, "invalid_field", "X-Session-Id is not the id of a session, which is a UUID.") from None
    instructions = [text_of(message) for message in body.messages if message.role in {"system", "developer"}]
    choice = body.tool_choice.function.name if isinstance(body.tool_choice, ToolChoice) else body.tool_choice
    earlier = list(_conversation(body.messages))
    if not earlier:
        raise ApiError(422, "invalid_field", "messages: there is no message besides the instructions.")
    message = UserMessage(text="")
    if isinstance(earlier[-1], UserMessage):
        message = earlier[-1]
        earlier.pop()
    return RunRequest(
        caller=caller,
        message=message.text,
        images=message.images,
        # A session has the earlier messages already.
        earlier=() if session_id else tuple(earlier),
        session_id=session_id,
        provider=named.provider,
        model=named.model,
        instructions="\n\n".join(instructions) if instructions else ("" if named.is_plain else None),
        tools=() if named.is_plain else ALL_TOOLS,
        client_tools=client_tools([tool.function.declared for tool in body.tools or ()], server_tools),
        sampling=SamplingOptions(
            max_output_tokens=body.max_completion_tokens or body.max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            stop=((body.stop,) if isinstance(body.stop, str) else tuple(body.stop)) if body.stop else None,
            seed=body.seed,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            reasoning_effort=body.reasoning_effort,
            # Not every provider has the option, so the default is not sent.
            tool_choice=choice if body.tools and choice != "auto" else None,
            parallel_tool_calls=False if body.tools and body.parallel_tool_calls is False else None,
        ),
        output_schema=output_schema("response_format", form.type, json_schema.schema_ if json_schema else None),
        user=body.user or "",
        metadata=body.metadata or {},
    )


def text_of(message: MessageIn) -> str:
    """Return the text of a message."""
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return "".join(part.text or part.refusal for part in message.content if isinstance(part, TextPart))


def _conversation(messages: Sequence[MessageIn]) -> Iterator[Message]:
    """Yield the messages without the instructions. Raise `ApiError` (422)."""
    names: dict[str, str] = {}
    for place, message in enumerate(messages):
        if message.role == "user":
            parts = message.content if isinstance(message.content, list) else []
            urls = (part.image_url.url for part in parts if not isinstance(part, TextPart))
            pictures = tuple(image_of_url(url, f"messages.{place}") for url in urls)
            yield UserMessage(text=text_of(message), images=pictures)
        elif message.role == "assistant":
            calls = tuple(
                ToolCall(call_id=call.id, name=call.function.name, arguments=call.function.arguments)
                for call in message.tool_calls or ()
            )
            names.update((call.call_id, call.name) for call in calls)
            yield AssistantMessage(text=text_of(message), tool_calls=calls)
        elif message.role == "tool":
            call_id = message.tool_call_id or ""
            if call_id not in names:
                problem = f"messages.{place}: tool_call_id names no call of an assistant's message before it"
                raise ApiError(422, "invalid_field", f"{problem}.")
            yield ToolMessage(call_id=call_id, name=names[call_id], content=text_of(message))


def output_schema(field: str, kind: str, schema: dict[str, Any] | None) -> OutputSchema | None:
    """Return the schema of an answer; None for `text`. Raise `ApiError` (422), which names the field."""
    if kind == "text":
        return None
    if kind == "json_schema" and schema is None:
        raise ApiError(422, "invalid_field", f"{field}: the schema for json_schema is missing.")
    try:
        return OutputSchema.of(ANY_OBJECT if schema is None or kind == "json_object" else schema)
    except InvalidSchema as error:
        raise ApiError(422, "invalid_schema", f"{field}: {error}.") from None
