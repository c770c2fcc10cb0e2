"""The retrieval API: the state of the index of the caller's workspace, and documents for it."""

import asyncio
import base64
import binascii
from typing import Any, Final

import msgspec
from django.http import HttpRequest
from ninja import Router

from access.auth import KeyAuth, caller
from retrieval.base import DocumentError
from tools import conf, resources
from tools.base import ToolError
from tools.retrieval.schemas import DocumentIn, DocumentOut, IndexOut
from tools.retrieval.source import is_visible
from tools.workspaces.access import permits, tool_api_error
from web.errors import ApiError
from web.schemas import errors

router = Router()

SEARCH: Final = KeyAuth("retrieval.search")
ERRORS: Final = errors(400, 401, 403, 429, 503)
DOCUMENTS: Final = "documents"


@router.get("/retrieval/status", response={200: IndexOut, **ERRORS}, auth=SEARCH)
async def get_index(request: HttpRequest) -> dict[str, Any]:
    """Return the state of the index of the caller's workspace."""
    _check_enabled()
    owner = caller(request).owner
    try:
        status = await asyncio.to_thread(resources.retrieval().status, resources.workspaces().path(owner).resolve())
    except DocumentError as error:
        raise ApiError(503, "failed", str(error)) from None
    return {
        **msgspec.structs.asdict(status.totals),
        "updated": status.updated or None,
        "complete": not status.missing,
        "running": status.running,
        "note": status.missing or None,
    }


@router.post(
    "/retrieval/documents", response={200: DocumentOut, **ERRORS, **errors(404, 409, 413, 415, 422, 507)}, auth=SEARCH
)
async def put_document(request: HttpRequest, body: DocumentIn) -> dict[str, Any]:
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
    try:
        workspace = resources.workspaces().at(caller(request).owner).restricted(permits("fs.write"))
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
