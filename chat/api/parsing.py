"""What a request asks for, however it came: the validated body, made into what the service takes."""

import hashlib
from typing import Any, Final

import msgspec

from access.caller import Caller
from chat import service_registry
from chat.api.images import images
from chat.api.schemas import ChatIn, ToolCallIn
from chat.engine.model_port import SamplingOptions
from chat.runs.start.idempotency import Key
from chat.starting.request import RunRequest
from tools import assembly
from tools.base import ToolRequest
from web.errors import ApiError

MAX_KEY_CHARS: Final = 255


async def parse_request(caller: Caller, body: ChatIn, key: str) -> RunRequest:
    """Raises `ApiError` for what no model and no session can take."""
    if body.session_id is not None and not service_registry.current().stored:
        raise ApiError(422, "not_stored", "With ENABLE_PERSISTENCE=false there are no sessions: leave session_id out.")
    return RunRequest(
        caller=caller,
        message=body.message,
        session_id=body.session_id,
        provider=body.provider,
        model=body.model,
        tool_calls=tuple(map(_tool_request, body.tool_calls)),
        images=await images(body.attachments, assembly.workspace()) if body.attachments else (),
        instructions=body.instructions,
        tools=("*",) if body.tools is None else tuple(body.tools),
        sampling=msgspec.convert(body, SamplingOptions, from_attributes=True),
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
    if len(key) > MAX_KEY_CHARS or not key.isprintable():
        raise ApiError(422, "invalid_key", f"Idempotency-Key may have {MAX_KEY_CHARS} printable characters at most.")
    asked: Any = msgspec.json.encode(body.model_dump(mode="json"), order="sorted")
    return Key(key=key, body_sha256=hashlib.sha256(asked).hexdigest())
