"""The conversion of a validated body, from HTTP or a WebSocket, into a `RunRequest`."""

import hashlib
from functools import partial
from typing import Final

import msgspec

from access.caller import Caller, require
from chat import service_registry
from chat.api.client_tools import client_tools
from chat.api.images import images
from chat.api.request_schemas import ChatIn
from chat.engine.model_port import SamplingOptions
from chat.engine.output_schema import OutputSchema
from chat.runs.start.idempotency import Key
from chat.starting.request import RunRequest
from tools.base import ToolRequest
from web.errors import ApiError
from web.json_schema import InvalidSchema

MAX_KEY_CHARS: Final = 255


async def parse_request(caller: Caller, body: ChatIn, key: str) -> RunRequest:
    """Return the request, with the `Idempotency-Key` if one was sent. Raise `ApiError` (403, 422)."""
    if body.session_id is not None and not service_registry.current().stored:
        raise ApiError(422, "not_stored", "ENABLE_PERSISTENCE=false stores no sessions. Leave session_id out.")
    if body.client_tools and not service_registry.current().stored:
        raise ApiError(422, "not_stored", "ENABLE_PERSISTENCE=false lets no run wait. Leave client_tools out.")
    if body.reasoning == "show":
        require(caller, ("reasoning",))
    try:
        schema = None if body.output_schema is None else OutputSchema.of(body.output_schema)
    except InvalidSchema as error:
        raise ApiError(422, "invalid_schema", f"output_schema: {error}.") from None
    own_tools = client_tools(body.client_tools, service_registry.current().tool_names) if body.client_tools else ()
    idempotency_key = None
    if key := key.strip():
        if len(key) > MAX_KEY_CHARS or not key.isprintable():
            raise ApiError(422, "invalid_key", f"Idempotency-Key must be 1 to {MAX_KEY_CHARS} printable characters.")
        # The hash is of the parsed body: the same request may be written with other spaces or another order, and its
        # answer may be asked for in another form.
        canonical = msgspec.json.encode(body.model_dump(mode="json", exclude={"stream"}), order="sorted")
        idempotency_key = Key(key=key, body_sha256=hashlib.sha256(canonical).hexdigest())
    return RunRequest(
        caller=caller,
        message=body.message,
        session_id=body.session_id,
        provider=body.provider,
        model=body.model,
        tool_calls=tuple(
            ToolRequest(tool=call.name, arguments=msgspec.json.encode(call.params).decode(), source="caller")
            for call in body.tool_calls
        ),
        images=await images(body.attachments, partial(service_registry.current().read_file, caller, body.session_id)),
        instructions=body.instructions,
        tools=("*",) if body.tools is None else tuple(body.tools),
        client_tools=own_tools,
        sampling=msgspec.convert(body, SamplingOptions, from_attributes=True),
        shows_reasoning=body.reasoning == "show",
        output_schema=schema,
        on_disconnect=body.on_disconnect,
        user=body.user,
        metadata=body.metadata,
        key=idempotency_key,
    )
