"""The endpoints of whole sessions: fork, export and import."""

import asyncio
from typing import Any, Final
from uuid import UUID

import msgspec
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router, Status
from ninja.params import functions as params

from access.auth import KeyAuth, caller
from chat import service_registry
from chat.api.errors import not_found
from chat.api.schemas import SessionOut
from chat.api.sessions.schemas import EXPORT, HTML, IMPORT, JSON_LINES, ForkIn
from chat.history import queries
from chat.history.transfer.files import Kind, SessionFile, exported
from chat.history.transfer.importing import imported
from chat.history.transfer.reading import SessionReader
from chat.history.transfer.storing import store_session
from storage.reader import read
from storage.writer import writer
from web.errors import ApiError
from web.schemas import errors

router = Router(tags=["chat"], auth=KeyAuth("chat"))

ERRORS: Final = errors(400, 401, 403, 404, 413, 415, 422, 429, 503, 507)
FORMAT: Final[Any] = params.Query("jsonl", description="`jsonl` can be imported again, and `html` is a page to read.")
TYPES: Final = {"jsonl": JSON_LINES, "html": HTML}
CONTENT_TYPES: Final = {JSON_LINES, "application/x-ndjson", "application/octet-stream"}


@router.post("/chat/sessions/{uuid:session_id}/fork", response={201: SessionOut, **ERRORS})
async def fork_session(request: HttpRequest, session_id: UUID, body: ForkIn) -> Status[dict[str, Any]]:
    """Copy a session, up to one of its messages, into a new one. Both continue independently."""
    who = caller(request)
    _check_stored()

    def copy() -> UUID | None:
        reader = SessionReader(session_id, who.owner, body.up_to)
        head = reader.head()
        if head is None:
            return None
        head = msgspec.structs.replace(head, title=head.title if body.title is None else body.title)
        return store_session(head, reader.messages(), who.owner, who.key, {"forked_from": str(session_id)})

    made = await writer.write(copy)
    if made is None:
        raise not_found("session")
    return Status(201, await _shown(made, who.owner))


@router.get(
    "/chat/sessions/{uuid:session_id}/export", response=ERRORS, openapi_extra=EXPORT, auth=KeyAuth("chat", "audit")
)
async def export_session(
    request: HttpRequest,
    session_id: UUID,
    format: Kind = FORMAT,  # noqa: A002 - the parameter's name
) -> StreamingHttpResponse:
    """Return a session as a file, with its pictures, without ids and owners."""
    reader = SessionReader(session_id, caller(request).reads)
    head = await read(reader.head)
    if head is None:
        raise not_found("session")
    answer = StreamingHttpResponse(
        exported(reader, head, SessionFile(format)), content_type=f"{TYPES[format]}; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="session-{session_id}.{format}"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


@router.post("/chat/sessions/import", response={201: SessionOut, **ERRORS}, openapi_extra=IMPORT)
async def import_session(request: HttpRequest) -> Status[dict[str, Any]]:
    """Store an exported session as a new one of the caller. All of it is checked before anything is stored."""
    who = caller(request)
    _check_stored()
    if request.content_type not in CONTENT_TYPES:
        problem = f"Unsupported media type. Send the file as Content-Type: {JSON_LINES}."
        raise ApiError(415, "unsupported_media_type", problem)
    found = await asyncio.to_thread(imported, request.body)
    made = await writer.write(lambda: store_session(found.head, found.messages, who.owner, who.key, {"imported": True}))
    return Status(201, await _shown(made, who.owner))


def _check_stored() -> None:
    if not service_registry.current().stored:
        raise ApiError(422, "not_stored", "ENABLE_PERSISTENCE=false stores no sessions.")


async def _shown(session_id: UUID, owner: str) -> dict[str, Any]:
    found = await read(queries.session, session_id, owner)
    if found is None:
        # Another request deleted it in the meantime.
        raise not_found("session")
    return found
