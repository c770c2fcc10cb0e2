"""What a request asks for, however it came: the validated body, made into what the service takes."""

import hashlib
from typing import Any, Final

import msgspec

from access.callers import Caller
from access.refusal import Refusal
from chat import services
from chat.asking import Ask
from chat.attachments import images
from chat.runs.idempotency import Key
from chat.schemas import ChatIn, ToolCallIn
from tools import toolbox
from tools.base import ToolRequest

MOST_KEY_CHARS: Final = 255


async def wish(caller: Caller, body: ChatIn, key: str) -> Ask:
    """Raises `Refusal` for what no model and no session can take."""
    if body.session_id is not None and not services.current().stored:
        raise Refusal(422, "not_stored", "With ENABLE_PERSISTENCE=false there are no sessions: leave session_id out.")
    return Ask(
        caller=caller,
        message=body.message,
        session_id=body.session_id,
        provider=body.provider,
        model=body.model,
        tool_calls=tuple(map(_tool_request, body.tool_calls)),
        images=await images(body.attachments, toolbox.workspace()) if body.attachments else (),
        instructions=body.instructions,
        tools=("*",) if body.tools is None else tuple(body.tools),
        max_output_tokens=body.max_output_tokens,
        temperature=body.temperature,
        on_disconnect=body.on_disconnect,
        user=body.user,
        metadata=body.metadata,
        key=_key(key.strip(), body),
    )


def _tool_request(call: ToolCallIn) -> ToolRequest:
    return ToolRequest(tool=call.name, arguments=msgspec.json.encode(call.params).decode(), source="caller")


def _key(key: str, body: ChatIn) -> Key | None:
    """The `Idempotency-Key`, with the hash of what was asked for, however that was written down."""
    if not key:
        return None
    if len(key) > MOST_KEY_CHARS or not key.isprintable():
        raise Refusal(422, "invalid_key", f"Idempotency-Key may have {MOST_KEY_CHARS} printable characters at most.")
    asked: Any = msgspec.json.encode(body.model_dump(mode="json"), order="sorted")
    return Key(key=key, body_sha256=hashlib.sha256(asked).hexdigest())
