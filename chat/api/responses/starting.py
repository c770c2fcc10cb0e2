"""The run behind a request for a response: a new one, or the one that the client answers."""

import time
from uuid import UUID

import msgspec

from access.caller import Caller
from chat import service_registry
from chat.api.openai.model_names import named_model
from chat.api.responses.continuing import continued
from chat.api.responses.items import answers
from chat.api.responses.known import KnownResponse
from chat.api.responses.requests import fields_of, request_of, session_of
from chat.api.responses.schemas import ResponseIn
from chat.history import queries
from chat.history.messages import messages_up_to
from chat.starting.request import RunRequest
from chat.wire.responses import ResponseStream
from storage.reader import read
from web.errors import ApiError


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to be answered as a response."""

    run_id: UUID
    session_id: UUID | None
    stream: ResponseStream


async def following_of(body: ResponseIn, who: Caller) -> Following:
    """Start a run, or continue the one that the client answers. Raise `ApiError` and the errors of `Service.start`."""
    items = body.input if isinstance(body.input, list) else []
    given = answers(items)
    if given and (body.previous_response_id is None or len(given) == len(items)):
        known = await continued(given, body.previous_response_id, who)
        if known is not None:
            return Following(run_id=known.run.id, session_id=known.run.session_id, stream=known.stream())
    service = service_registry.current()
    parsed = await _parsed(body, who)
    run = await service.start(parsed)
    session_id = UUID(run.spec.start.session_id) if run.spec.start.session_id else None
    fields = fields_of(parsed, run.spec.run_id, session_id)
    structured = parsed.output_schema is not None
    stream = ResponseStream(run.spec.run_id, fields, lambda: int(time.time()), structured=structured)
    return Following(run_id=run.spec.run_id, session_id=session_id, stream=stream)


async def _parsed(body: ResponseIn, who: Caller) -> RunRequest:
    service = service_registry.current()
    plain = named_model(body.model, service.providers).is_plain
    names = service.tool_names if body.tools and not plain else ()
    if body.conversation is not None and body.previous_response_id is not None:
        raise ApiError(422, "invalid_field", "conversation and previous_response_id exclude each other.")
    session_id = None if body.conversation is None else session_of(body.conversation)
    if body.previous_response_id is None:
        return request_of(body, who, service.providers, names, session_id=session_id)
    run = (await KnownResponse.find(body.previous_response_id, who)).run
    if not await read(queries.has_newer_run, run):
        return request_of(body, who, service.providers, names, session_id=run.session_id)
    # A session has one line of messages, so an older response continues in a session of its own.
    earlier = await read(messages_up_to, run.session_id, run.id)
    request = request_of(body, who, service.providers, names, session_id=None, earlier=earlier)
    return msgspec.structs.replace(request, carried_taint=run.taint or {})
