"""The files of a workspace over HTTP, with the confinement and the rules of the file tools."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, Self, TypeVar
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from ninja import Router, Status

from access.auth import KeyAuth, caller
from chat.api.errors import not_found
from chat.api.files import workspace_schemas as schemas
from chat.history import queries
from storage.reader import read
from tools import resources
from tools.base import ToolError
from tools.builtin import fs
from tools.workspace import Change, Deadline, Workspace, in_thread
from tools.workspaces.access import permits, tool_api_error
from tools.workspaces.archive import MAX_SECONDS, pack, unpack
from tools.workspaces.archive_format import BadArchive
from web.errors import ApiError
from web.file_response import etag_of, file_response
from web.schemas import errors

Result = TypeVar("Result")

logger = logging.getLogger(__name__)
router = Router(tags=["workspace"])

READ: Final = KeyAuth("files.read")
WRITE: Final = KeyAuth("files.write")
ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)
WRITE_ERRORS: Final = ERRORS | errors(409, 412, 413, 415, 507)


@router.get("/workspace/files", response={200: schemas.FileList, **ERRORS}, auth=READ)
async def list_files(
    request: HttpRequest,
    path: str = schemas.FOLDER,
    recursive: bool = schemas.RECURSIVE,
    session_id: UUID | None = schemas.SESSION,
) -> dict[str, Any]:
    """List a folder of the caller's workspace."""
    workspace = await caller_workspace(request, session_id, "fs.read")
    try:
        found = await fs.list_(workspace, path=path or ".", recursive=recursive, ignored=True)
    except ToolError as error:
        raise tool_api_error(error) from None
    items = msgspec.to_builtins(found.entries)
    return {"items": items, "count": len(items), "truncated": found.truncated}


@router.get(
    "/workspace/files/{path:path}", response=ERRORS | errors(412, 416), openapi_extra=schemas.FILE_ANSWER, auth=READ
)
async def read_file(request: HttpRequest, path: str, session_id: UUID | None = schemas.SESSION) -> HttpResponseBase:
    """Return the content of a file, or a range of it."""
    workspace = await caller_workspace(request, session_id, "fs.read")
    file = await _in_thread(lambda: workspace.open_file(path))
    return file_response(request, file.fileno(), path, lambda: file.__exit__(None, None, None))


@router.put(
    "/workspace/files/{path:path}",
    response={200: schemas.WrittenOut, 201: schemas.WrittenOut, **WRITE_ERRORS},
    openapi_extra=schemas.FILE_BODY,
    auth=WRITE,
)
async def write_file(
    request: HttpRequest, response: HttpResponse, path: str, session_id: UUID | None = schemas.SESSION
) -> Status[dict[str, Any]]:
    """Write a whole file, and make the folders that it needs. The write is atomic."""
    workspace = await caller_workspace(request, session_id, "fs.write")
    new = request.headers.get("If-None-Match", "").strip() == "*"

    def work() -> tuple[dict[str, Any], str]:
        expected = _expected(request, workspace, path)
        change = Change(path=path, data=request.body, create_only=new, expected_sha256=expected)
        (changed,) = workspace.apply((change,))
        with workspace.open_file(changed.path) as file:
            return msgspec.to_builtins(changed), etag_of(os.fstat(file.fileno()))

    written, response["ETag"] = await _changed(request, path, work, is_conditional=new or "If-Match" in request.headers)
    return Status(201 if written["created"] else 200, written)


@router.delete(
    "/workspace/files/{path:path}",
    response={204: None, **WRITE_ERRORS},
    openapi_extra=schemas.FILE_REMOVAL,
    auth=WRITE,
)
async def delete_file(request: HttpRequest, path: str, session_id: UUID | None = schemas.SESSION) -> HttpResponse:
    """Remove a file."""
    workspace = await caller_workspace(request, session_id, "fs.write")

    def work() -> None:
        expected = _expected(request, workspace, path)
        workspace.apply((Change(path=path, data=None, expected_sha256=expected),))

    await _changed(request, path, work, is_conditional="If-Match" in request.headers)
    return HttpResponse(status=204)


@router.get("/workspace/archive", response=ERRORS, openapi_extra=schemas.ARCHIVE_ANSWER, auth=READ)
async def download_archive(
    request: HttpRequest, path: str = schemas.FOLDER, session_id: UUID | None = schemas.SESSION
) -> HttpResponseBase:
    """Stream the files below a folder as a tar archive, compressed with gzip. Secrets and `.git` are left out."""
    workspace = await caller_workspace(request, session_id, "fs.read")
    pieces = pack(workspace, path or ".")
    # The first piece shows whether the folder can be read, while the status can still say so.
    first = await _in_thread(lambda: next(pieces))
    headers = {"Content-Disposition": 'attachment; filename="workspace.tar.gz"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(_Pieces(first, pieces), content_type="application/gzip", headers=headers)


@router.post(
    "/workspace/archive",
    response={200: schemas.UnpackedOut, **WRITE_ERRORS},
    openapi_extra=schemas.ARCHIVE_BODY,
    auth=WRITE,
)
async def upload_archive(
    request: HttpRequest, path: str = schemas.FOLDER, session_id: UUID | None = schemas.SESSION
) -> dict[str, Any]:
    """Write the files of a tar archive below a folder: all of them, or none. Files that exist are replaced."""
    workspace = await caller_workspace(request, session_id, "fs.write")

    def work() -> dict[str, Any]:
        try:
            return dict(msgspec.to_builtins(unpack(workspace, request.body, path or ".")))
        except BadArchive as error:
            raise ApiError(422, "invalid_archive", str(error)) from None

    return await _changed(request, path, work, is_conditional=False)


class _Pieces:
    """The iterator over an archive, which is packed in a thread."""

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece, self._first = self._first, None
        if piece is None:
            # An error makes the server close the connection, so that the client sees a cut archive.
            piece = await asyncio.to_thread(next, self._rest, None)
        if piece is None:
            raise StopAsyncIteration
        return piece


async def check_session(request: HttpRequest, session_id: UUID | None) -> None:
    """Check that a session is one of the caller's, if one is given. Raises `ApiError`."""
    if session_id is not None and await read(queries.session, session_id, caller(request).owner) is None:
        raise not_found("session")


async def caller_workspace(
    request: HttpRequest, session_id: UUID | None, tool: Literal["fs.read", "fs.write"]
) -> Workspace:
    """Return the caller's workspace, for the files that the policy permits. Raises `ApiError`."""
    await check_session(request, session_id)
    owner = caller(request).owner
    return (await _in_thread(lambda: resources.workspaces().at(owner, session_id))).restricted(permits(tool))


async def _in_thread(work: Callable[[], Result]) -> Result:
    try:
        return await in_thread(work, Deadline(MAX_SECONDS))
    except ToolError as error:
        raise tool_api_error(error) from None


async def _changed(request: HttpRequest, path: str, work: Callable[[], Result], *, is_conditional: bool) -> Result:
    """Return the result of a change, which is logged. Raises `ApiError`."""
    try:
        result = await in_thread(work, Deadline(MAX_SECONDS))
    except ToolError as error:
        if is_conditional and error.code in {"conflict", "not_found"}:
            raise ApiError(412, "precondition_failed", str(error)) from None
        raise tool_api_error(error) from None
    who = caller(request)
    logger.info("files.changed", extra={"method": request.method, "file": path, "owner": who.owner, "key": who.label})
    return result


def _expected(request: HttpRequest, workspace: Workspace, path: str) -> str | None:
    """Return the hash of the content that `If-Match` requires; None if it requires none. This blocks."""
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return None
    with workspace.open_file(path) as file:
        if wanted.strip() != "*" and etag_of(os.fstat(file.fileno())) not in map(str.strip, wanted.split(",")):
            raise ToolError("The file is not the one that If-Match names.", code="conflict")
        return file.sha256(workspace.limits.max_hash_bytes)
