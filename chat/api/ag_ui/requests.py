"""The conversion of an AG-UI input into a `RunRequest`, or into answers for the run that waits."""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from uuid import UUID

from pydantic import ValidationError

from access.caller import Caller
from chat.api.ag_ui.schemas import AgUiMessage, AgUiPart, RunAgentInput
from chat.api.client_tools import client_tools
from chat.api.images import image_of_url
from chat.api.projections.answers import Decision, Result
from chat.api.projections.named_sessions import NamedSession, repeat_key
from chat.engine.messages import AssistantMessage, Image, Message, ToolCall, ToolMessage, UserMessage
from chat.starting.request import RunRequest
from web.errors import ApiError
from web.validation import invalid_fields


def request_of(body: RunAgentInput, caller: Caller, session: NamedSession, server_tools: Sequence[str]) -> RunRequest:
    """Return the request for a run. Raise `ApiError` (422)."""
    messages = list(_conversation(body.messages))
    if not messages or not isinstance(message := messages[-1], UserMessage):
        raise ApiError(422, "invalid_field", "messages: the last one must be the user's, or answer a call that waits.")
    props = body.forwarded_props
    instructions = [_text(one) for one in body.messages if one.role in {"system", "developer"}]
    instructions += [f"{context.description}: {context.value}" for context in body.context]
    return RunRequest(
        caller=caller,
        message=message.text,
        images=message.images,
        # The service has the earlier messages of a thread that it knows.
        earlier=() if session.exists else tuple(messages[:-1]),
        session_id=session.id if session.exists else None,
        new_session_id=None if session.exists else session.id,
        provider=props.provider if props else None,
        model=props.model if props else None,
        instructions="\n\n".join(instructions) if instructions else None,
        client_tools=client_tools([tool.declared for tool in body.tools], server_tools),
        shows_reasoning=bool(props and props.reasoning == "show") and caller.scopes.may("reasoning"),
        key=repeat_key("ag-ui", body.thread_id, body.run_id, body.messages[-1].model_dump()),
    )


def answers_of(body: RunAgentInput) -> dict[UUID, Result | Decision]:
    """Return the answers to interrupts, and the results of tools at the end of the messages. Raise `ApiError` (422)."""
    found: dict[UUID, Result | Decision] = {}
    try:
        for entry in body.resume or ():
            execution_id, _, params_sha256 = entry.interrupt_id.partition(":")
            payload = entry.payload if isinstance(entry.payload, dict) else {"approved": entry.payload}
            approved = entry.status == "resolved" and payload.get("approved") is True
            found[UUID(execution_id)] = Decision(
                verdict="approved" if approved else "denied",
                params_sha256=params_sha256,
                note=str(payload.get("reason") or ""),
            )
        for message in takewhile(lambda one: one.role == "tool", reversed(body.messages)):
            result = Result(data=_text(message), error=message.error)
            found[UUID(message.tool_call_id or "")] = result
    except ValueError:
        if body.resume:
            raise ApiError(422, "invalid_field", "resume: an interruptId is of no interrupt of this service.") from None
        return {}
    return found


def _conversation(messages: Sequence[AgUiMessage]) -> Iterator[Message]:
    """Yield the messages of a new thread as sent."""
    names: dict[str, str] = {}
    for place, message in enumerate(messages):
        if message.role == "user":
            yield UserMessage(text=_text(message), images=tuple(_images(message, place)))
        elif message.role == "assistant":
            calls = tuple(
                ToolCall(call_id=call.id, name=call.function.name, arguments=call.function.arguments)
                for call in message.tool_calls or ()
            )
            names.update((call.call_id, call.name) for call in calls)
            yield AssistantMessage(text=_text(message), tool_calls=calls)
        elif message.role == "tool" and (name := names.get(message.tool_call_id or "")) is not None:
            content = message.error or _text(message)
            yield ToolMessage(
                call_id=message.tool_call_id or "", name=name, content=content, is_error=message.error is not None
            )


def _text(message: AgUiMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(part.text for part in _parts(message) if part.type == "text")


def _images(message: AgUiMessage, place: int) -> Iterator[Image]:
    for part in _parts(message):
        if part.type == "text":
            continue
        if part.type != "image" or part.source is None or part.source.type != "data":
            problem = f"messages.{place}: a part must be a text, or an image with its data"
            raise ApiError(422, "invalid_attachment", f"{problem}; URLs are not fetched.")
        yield image_of_url(f"data:{part.source.mime_type};base64,{part.source.value}", f"messages.{place}")


def _parts(message: AgUiMessage) -> list[AgUiPart]:
    """Return the parts of a message, whose content may be anything for roles that are not read."""
    if not isinstance(message.content, list):
        return []
    try:
        return [AgUiPart.model_validate(part) for part in message.content]
    except ValidationError as error:
        raise invalid_fields(error.errors()) from None
