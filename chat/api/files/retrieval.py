"""The retrieval API: the state of the index of the caller's workspace, and documents for it."""

import asyncio
import base64
import binascii
from typing import Any, Final
from uuid import UUID

import msgspec
from django.http import HttpRequest
from ninja import Router

from access.auth import KeyAuth, caller
from chat.api.files.retrieval_schemas import DocumentIn, DocumentOut, IndexOut
from chat.api.files.workspace import caller_workspace, check_session
from chat.api.files.workspace_schemas import SESSION
from retrieval.base import DocumentError
from tools import conf, resources
from tools.base import ToolError
from tools.retrieval.source import is_visible
from tools.workspaces.access import tool_api_error
from web.errors import ApiError
from web.schemas import errors

router = Router(tags=["tools"])

SEARCH: Final = KeyAuth("retrieval.search")
ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)
DOCUMENTS: Final = "documents"


@router.get("/retrieval/status", response={200: IndexOut, **ERRORS}, auth=SEARCH)
async def get_index(request: HttpRequest, session_id: UUID | None = SESSION) -> dict[str, Any]:
    """Return the state of the index of the caller's workspace."""
    _check_enabled()
    await check_session(request, session_id)
    workspace = resources.workspaces().path(caller(request).owner, session_id).resolve()
    try:
        status = await asyncio.to_thread(resources.retrieval().status, workspace)
    except DocumentError as error:
        raise ApiError(503, "failed", str(error)) from None
    return {
        **msgspec.structs.asdict(status.totals),
        "updated": status.updated or None,
        "complete": not status.missing,
        "running": status.running,
        "note": status.missing or None,
    }


@router.post("/retrieval/documents", response={200: DocumentOut, **ERRORS, **errors(409, 413, 415, 507)}, auth=SEARCH)
async def put_document(request: HttpRequest, body: DocumentIn, session_id: UUID | None = SESSION) -> dict[str, Any]:
    """Write a document into `documents/` of the caller's workspace, where the next search finds it.

    A document of the same name is replaced. The key also needs the scope `files.write`.
    """
    _check_enabled()
    if not caller(request).scopes.may("files.write"):
        raise ApiError(403, "scope", "The key needs the scope files.write too, because a document is a file.")
    parts = body.name.split("/")
    if not all(parts) or not is_visible(tuple(parts)):
        raise ApiError(422, "invalid_field", "name: give a relative path without hidden names, such as `guide.md`.")
    data = _content(body)
    workspace = await caller_workspace(request, session_id, "fs.write")
    try:
        changed = await asyncio.to_thread(workspace.write, f"{DOCUMENTS}/{body.name}", data)
    except ToolError as error:
        raise tool_api_error(error) from None
    return {"path": changed.path, "size": changed.size, "sha256": changed.sha256, "created": changed.created}


def _check_enabled() -> None:
    if not conf.retrieval_enabled():
        raise ApiError(403, "disabled", "Retrieval is off: ENABLE_RETRIEVAL is false.")


def _content(body: DocumentIn) -> bytes:
    """Return the bytes of a document. Raises `ApiError` (422)."""
    if (body.text is None) == (body.data_base64 is None):
        raise ApiError(422, "invalid_field", "Give either text or data_base64.")
    try:
        return (
            (body.text or "").encode()
            if body.data_base64 is None
            else base64.b64decode(body.data_base64, validate=True)
        )
    except (binascii.Error, ValueError):
        raise ApiError(422, "invalid_field", "data_base64: it is not valid base64.") from None
