"""The conversion of OpenAI's requests into a `RunRequest`."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from access.caller import Caller
from chat.api.client_tools import client_tools
from chat.api.images import image_of
from chat.api.openai.schemas import CompletionIn, MessageIn, ResponseFormat, TextPart, ToolChoice
from chat.engine.messages import AssistantMessage, Image, Message, ToolCall, ToolMessage, UserMessage
from chat.engine.model_port import SamplingOptions
from chat.engine.output_schema import OutputSchema
from chat.providers.registry import ProviderRegistry
from chat.starting.request import ALL_TOOLS, RunRequest
from web.errors import ApiError
from web.json_schema import InvalidSchema

PLAIN: Final = ":plain"
"""The end of the name of a model to which no tool of the service is offered."""

ANY_OBJECT: Final = {"type": "object"}
DATA_URL: Final = "data:"
BASE64: Final = ";base64,"


def request_of(
    body: CompletionIn, caller: Caller, session: str, providers: ProviderRegistry, server_tools: Sequence[str] = ()
) -> RunRequest:
    """Return the request for a run. `session` is the header `X-Session-Id`. Raise `ApiError` (422).

    The client's tools may not have the names of `server_tools`.
    """
    model = body.model.removesuffix(PLAIN)
    provider, slash, rest = model.partition("/")
    named = bool(slash) and provider in providers.names
    try:
        session_id = UUID(session) if session else None
    except ValueError:
        raise ApiError(422, "invalid_field", "X-Session-Id is not the id of a session, which is a UUID.") from None
    instructions = [text_of(message) for message in body.messages if message.role in {"system", "developer"}]
    plain = body.model.endswith(PLAIN)
    choice = body.tool_choice.function.name if isinstance(body.tool_choice, ToolChoice) else body.tool_choice
    # A default model of another provider than the default one is known by its name.
    others = [name for name in providers.names if not providers.missing(name)]
    provider = provider if named else next((name for name in others if providers.get(name).default_model == model), "")
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
        provider=provider or None,
        model=rest if named else model,
        instructions="\n\n".join(instructions) if instructions else ("" if plain else None),
        tools=() if plain else ALL_TOOLS,
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
            # What is the default anyway is not sent: not every provider has the option.
            tool_choice=choice if body.tools and choice != "auto" else None,
            parallel_tool_calls=False if body.tools and body.parallel_tool_calls is False else None,
        ),
        output_schema=_output_schema(body.response_format),
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
            yield UserMessage(text=text_of(message), images=tuple(_images(message, place)))
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


def _images(message: MessageIn, place: int) -> Iterator[Image]:
    for part in message.content if isinstance(message.content, list) else ():
        if isinstance(part, TextPart):
            continue
        head, found, data = part.image_url.url.partition(BASE64)
        if not found or not head.startswith(DATA_URL):
            problem = f"messages.{place}: a picture must be a data: URL with base64; other URLs are not fetched"
            raise ApiError(422, "invalid_attachment", f"{problem}.")
        try:
            yield image_of(base64.b64decode(data, validate=True))
        except (binascii.Error, ValueError):
            raise ApiError(422, "invalid_attachment", f"messages.{place}: the picture is not base64.") from None


def _output_schema(form: ResponseFormat | None) -> OutputSchema | None:
    if form is None or form.type == "text":
        return None
    schema: dict[str, Any] = ANY_OBJECT
    if form.type == "json_schema":
        if form.json_schema is None:
            raise ApiError(422, "invalid_field", "response_format: json_schema is missing.")
        schema = form.json_schema.schema_
    try:
        return OutputSchema.of(schema)
    except InvalidSchema as error:
        raise ApiError(422, "invalid_schema", f"response_format: {error}.") from None
