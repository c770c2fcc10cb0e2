"""The conversion of a chat of the AI SDK into a `RunRequest`, or into answers for the run that waits."""

from collections.abc import Sequence
from uuid import UUID

from access.caller import Caller
from chat.api.ai_sdk.schemas import UiChatIn, UiMessage, UiPart
from chat.api.client_tools import client_tools
from chat.api.images import image_of_url
from chat.api.projections.answers import Decision, Result
from chat.api.projections.named_sessions import NamedSession, repeat_key
from chat.starting.request import ALL_TOOLS, RunRequest
from web.errors import ApiError


def request_of(body: UiChatIn, caller: Caller, session: NamedSession, server_tools: Sequence[str]) -> RunRequest:
    """Return the request for a run with the newest user's message. Raise `ApiError` (422)."""
    message = next((one for one in reversed(body.messages) if one.role == "user"), None)
    if message is None:
        raise ApiError(422, "invalid_field", "messages: there is no message of the user.")
    text = "\n".join(part.text for part in message.parts if part.type == "text")
    files = [part.url for part in message.parts if part.type == "file"]
    if not text and not files:
        raise ApiError(422, "invalid_field", "messages: the newest user's message is empty.")
    return RunRequest(
        caller=caller,
        message=text,
        images=tuple(image_of_url(url, "messages") for url in files),
        session_id=session.id if session.exists else None,
        new_session_id=None if session.exists else session.id,
        provider=body.provider,
        model=body.model,
        instructions=body.instructions,
        tools=ALL_TOOLS if body.tools is None else tuple(body.tools),
        client_tools=client_tools(body.client_tools, server_tools),
        shows_reasoning=body.reasoning == "show" and caller.scopes.may("reasoning"),
        key=repeat_key("ai-sdk", body.id, message.model_dump(), body.trigger, body.message_id),
    )


def answers_of(message: UiMessage) -> dict[UUID, Result | Decision]:
    """Return the answers to the calls of the newest step of an assistant's message."""
    steps = [place for place, part in enumerate(message.parts) if part.type == "step-start"]
    newest = message.parts[steps[-1] :] if steps else message.parts
    found: dict[UUID, Result | Decision] = {}
    for part in newest:
        if (answer := _answer(part)) is not None:
            try:
                found[UUID(part.call_id)] = answer
            except ValueError:
                raise ApiError(
                    422, "invalid_field", f"toolCallId {part.call_id[:80]!r} is not the id of a call."
                ) from None
    return found


def _answer(part: UiPart) -> Result | Decision | None:
    if part.state == "approval-responded" and part.approval is not None:
        return Decision(
            verdict="approved" if part.approval.approved else "denied",
            params_sha256=part.approval.id.partition(":")[2],
            note=part.approval.reason or "",
        )
    if part.executed:
        return None
    if part.state == "output-available":
        return Result(data=part.output)
    return Result(error=part.error) if part.state == "output-error" else None
