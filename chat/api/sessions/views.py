"""The endpoints of sessions: list, read, change and delete them."""

from functools import partial
from typing import Any, Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.params import functions as params

from access.auth import KeyAuth, caller
from chat.api.errors import found, not_found, session_busy
from chat.api.schemas import MessageList, SessionList, SessionOut
from chat.api.sessions.schemas import SessionPatch
from chat.history import queries
from storage.reader import read
from storage.search.query import MAX_CHARS
from storage.writer import writer
from web.schemas import LIMIT, OFFSET, errors

READ: Final = KeyAuth("chat", "audit")

router = Router(tags=["chat"], auth=KeyAuth("chat"))

ARCHIVED: Final[Any] = params.Query(default=False, description="True lists the archived sessions, false all others.")

SEARCH: Final[Any] = params.Query(
    "",
    max_length=MAX_CHARS,
    description="Words that are all in one message, or in the title, the user and the metadata of a session: "
    '"a phrase", begin*, -without. The last word may be unfinished.',
)

ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)


@router.get("/chat/sessions", response={200: SessionList, **ERRORS}, auth=READ)
async def list_sessions(
    request: HttpRequest, limit: int = LIMIT, offset: int = OFFSET, archived: bool = ARCHIVED, search: str = SEARCH
) -> dict[str, Any]:
    """List the caller's sessions (with the scope `audit` all sessions), the most recently used first.

    A search finds at most 1,000 sessions, among the 1,000 that the caller used last.
    """
    listed = partial(queries.sessions, archived=archived, search=search)
    return await read(listed, caller(request).reads, limit, offset)


@router.get("/chat/sessions/{uuid:session_id}", response={200: SessionOut, **ERRORS}, auth=READ)
async def get_session(request: HttpRequest, session_id: UUID) -> dict[str, Any]:
    """Return a session: its title, its metadata and its active run."""
    return found(await read(queries.session, session_id, caller(request).reads), "session")


@router.get("/chat/sessions/{uuid:session_id}/messages", response={200: MessageList, **ERRORS}, auth=READ)
async def list_messages(
    request: HttpRequest, session_id: UUID, limit: int = LIMIT, offset: int = OFFSET
) -> dict[str, Any]:
    """List the messages of a session, the oldest first."""
    messages = found(await read(queries.messages, session_id, caller(request).reads, limit, offset), "session")
    if not caller(request).scopes.may("reasoning"):
        messages["items"] = [{**item, "reasoning": None} for item in messages["items"]]
    return messages


@router.patch("/chat/sessions/{uuid:session_id}", response={200: SessionOut, **ERRORS, **errors(409, 415)})
async def change_session(request: HttpRequest, session_id: UUID, body: SessionPatch) -> dict[str, Any]:
    """Change a session's title or metadata, or archive it."""
    owner, changes = caller(request).owner, body.model_dump(exclude_unset=True, exclude_none=True)
    return found(await writer.write(lambda: queries.change_session(session_id, owner, changes)), "session")


@router.delete("/chat/sessions/{uuid:session_id}", response={204: None, **ERRORS, **errors(409)})
async def delete_session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Delete a session with its messages, runs and events. Its tool executions remain as an audit record."""
    owner = caller(request).owner
    deleted = await writer.write(lambda: queries.delete_session(session_id, owner))
    if isinstance(deleted, UUID):
        raise session_busy(deleted)
    if not deleted:
        raise not_found("session")
    return HttpResponse(status=204)
