"""The conversion of a request for a response into a `RunRequest`, and of a run into the fields of its responses."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from access.caller import Caller
from chat.api.client_tools import client_tools
from chat.api.openai.model_names import named_model
from chat.api.openai.requests import output_schema
from chat.api.responses.items import conversation
from chat.api.responses.schemas import ConversationRef, FunctionChoice, MessageItem, ResponseIn
from chat.engine.messages import Message, UserMessage
from chat.engine.model_port import SamplingOptions
from chat.providers.registry import ProviderRegistry
from chat.starting.request import ALL_TOOLS, RunRequest
from chat.wire.responses import created
from web.errors import ApiError

CONVERSATION_ID: Final = "conv_"


def request_of(
    body: ResponseIn,
    caller: Caller,
    providers: ProviderRegistry,
    server_tools: Sequence[str],
    *,
    session_id: UUID | None,
    earlier: Sequence[Message] = (),
) -> RunRequest:
    """Return the request for a run of a session, or of a new one behind `earlier` messages. Raise `ApiError` (422)."""
    named = named_model(body.model, providers)
    items = (
        body.input if isinstance(body.input, list) else [MessageItem(type="message", role="user", content=body.input)]
    )
    parsed = conversation(items)
    instructions = [*([body.instructions] if body.instructions is not None else []), *parsed.instructions]
    messages = list(parsed.messages)
    if not messages:
        raise ApiError(422, "invalid_field", "input: there is no message besides the instructions.")
    message = UserMessage(text="")
    if isinstance(messages[-1], UserMessage):
        message = messages[-1]
        messages.pop()
    if session_id is not None and messages:
        problem = "input: with previous_response_id or conversation it has one user message"
        raise ApiError(422, "invalid_field", f"{problem}; the earlier ones are stored already.")
    choice = body.tool_choice.name if isinstance(body.tool_choice, FunctionChoice) else body.tool_choice
    reasoning = body.reasoning
    form = body.text.format if body.text else None
    return RunRequest(
        caller=caller,
        message=message.text,
        images=message.images,
        earlier=(*earlier, *messages),
        session_id=session_id,
        provider=named.provider,
        model=named.model,
        instructions="\n\n".join(instructions) if instructions else ("" if named.is_plain else None),
        tools=() if named.is_plain else ALL_TOOLS,
        client_tools=client_tools([tool.declared for tool in body.tools or ()], server_tools),
        sampling=SamplingOptions(
            max_output_tokens=body.max_output_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            reasoning_effort=reasoning.effort if reasoning else None,
            # Not every provider has the option, so the default is not sent.
            tool_choice=choice if body.tools and choice != "auto" else None,
            parallel_tool_calls=False if body.tools and body.parallel_tool_calls is False else None,
        ),
        shows_reasoning=bool(reasoning and reasoning.summary) and caller.scopes.may("reasoning"),
        output_schema=output_schema("text.format", form.type, form.schema_) if form else None,
        on_disconnect="continue" if body.background else "cancel",
        user=body.user or "",
        metadata=dict(body.metadata or {}),
        echo={
            "model": body.model,
            "previous_response_id": body.previous_response_id,
            "store": body.store is not False,
            "background": bool(body.background),
        },
    )


def session_of(reference: str | ConversationRef) -> UUID:
    """Return the session of a conversation. Raise `ApiError` (404)."""
    text = reference if isinstance(reference, str) else reference.id
    try:
        return UUID(text.removeprefix(CONVERSATION_ID))
    except ValueError:
        raise ApiError(404, "not_found", f"There is no conversation {text!r}.") from None


def fields_of(request: RunRequest, run_id: UUID, session_id: UUID | None) -> dict[str, Any]:
    """Return the fields of a response that are known when its run starts."""
    sampling, schema = request.sampling, request.output_schema
    choice = sampling.tool_choice or "auto"
    text = {"type": "json_schema", "name": "answer", "schema": schema.fields} if schema else {"type": "text"}
    return {
        "created_at": created(run_id),
        "model": request.echo.get("model", request.model),
        "previous_response_id": request.echo.get("previous_response_id"),
        "conversation": {"id": f"{CONVERSATION_ID}{session_id.hex}"} if session_id else None,
        "instructions": request.instructions,
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": True,
            }
            for tool in request.client_tools
        ],
        "tool_choice": choice if choice in {"auto", "none", "required"} else {"type": "function", "name": choice},
        "parallel_tool_calls": sampling.parallel_tool_calls is not False,
        "text": {"format": text},
        "reasoning": {"effort": sampling.reasoning_effort, "summary": "detailed" if request.shows_reasoning else None},
        "temperature": 1.0 if sampling.temperature is None else sampling.temperature,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "presence_penalty": sampling.presence_penalty or 0.0,
        "frequency_penalty": sampling.frequency_penalty or 0.0,
        "top_logprobs": 0,
        "max_output_tokens": sampling.max_output_tokens,
        "max_tool_calls": None,
        "truncation": "auto",
        "store": request.echo.get("store", True),
        "background": request.echo.get("background", False),
        "service_tier": "default",
        "metadata": {name: value for name, value in request.metadata.items() if isinstance(value, str)},
        "user": request.user or None,
        "safety_identifier": None,
        "prompt_cache_key": None,
    }
