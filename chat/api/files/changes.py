"""The files that a run changed: the difference, and the way back."""

import asyncio
import logging
from typing import Any, Final
from uuid import UUID

import msgspec
from django.http import HttpRequest
from ninja import Router

from access.auth import KeyAuth, caller
from chat.api.errors import not_found
from chat.api.files.change_schemas import ChangesOut, UndoIn, UndoOut
from chat.api.run_access import owner_of, run_fields
from storage.reader import read
from tools import conf, queries, resources
from tools.base import ToolError
from tools.changes.report import described
from tools.changes.undo import ChangedSince, NotKept, restore
from tools.workspaces.access import permits, tool_api_error
from web.errors import ApiError
from web.plurals import counted
from web.schemas import errors

logger = logging.getLogger(__name__)
router = Router(tags=["chat"])

ERRORS: Final = errors(400, 401, 403, 404, 422, 429, 503)
ACTIVE: Final = {"running", "waiting"}


@router.get(
    "/chat/runs/{uuid:run_id}/changes", response={200: ChangesOut, **ERRORS}, auth=KeyAuth("files.read", "audit")
)
async def get_changes(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Return the files that the tools of a run changed, and the changes as a unified diff."""
    owner = await owner_of(run_id, caller(request))
    if await run_fields(run_id, owner) is None:
        raise not_found("run")
    changes = await asyncio.to_thread(described, resources.changes().of(run_id), permits("fs.read"), conf.masker())
    return {"run_id": run_id, **changes, **await _commands(run_id)}


@router.post(
    "/chat/runs/{uuid:run_id}/undo",
    response={200: UndoOut, **ERRORS, **errors(409, 413, 415, 507)},
    auth=KeyAuth("files.write"),
)
async def undo_run(request: HttpRequest, run_id: UUID, body: UndoIn) -> dict[str, Any]:
    """Restore the files that the tools of a run changed: all of them, or none. Calling this again is safe.

    If a file is not as the run left it, the answer is 409 with its path in `detail`, and nothing has changed.
    """
    owner = caller(request).owner
    run = await run_fields(run_id, owner)
    if run is None:
        raise not_found("run")
    if run["status"] in ACTIVE:
        raise ApiError(409, "run_active", f"The run is {run['status']}. Wait for its end, or cancel it.")
    try:
        workspace = resources.workspaces().at(owner, run["session_id"]).restricted(permits("fs.write"))
        changes = resources.changes().of(run_id)
        files = await asyncio.to_thread(restore, workspace, changes, body.direction)
    except (ChangedSince, NotKept) as refused:
        raise _conflict(refused) from None
    except ToolError as error:
        raise tool_api_error(error) from None
    logger.info("files.restored", extra={"run": str(run_id), "owner": owner, "direction": body.direction})
    note = (await _commands(run_id))["note"]
    return {"run_id": run_id, "direction": body.direction, "files": msgspec.to_builtins(files), "note": note}


async def _commands(run_id: UUID) -> dict[str, Any]:
    """Return how many commands the run executed, and what that means for its changes."""
    count = await read(queries.commands_of_run, run_id)
    if not count:
        return {"commands": 0, "note": None}
    ran = f"The run executed {counted(count, 'command')}."
    if conf.terminal_limits().writable:
        return {
            "commands": count,
            "note": f"{ran} Commands may write in the workspace, and their changes are not covered.",
        }
    return {
        "commands": count,
        "note": f"{ran} Commands cannot write in the workspace, so no change of theirs is missing.",
    }


def _conflict(refused: ChangedSince | NotKept) -> ApiError:
    files = counted(len(refused.paths), "file")
    detail = [{"field": path, "error": str(refused.__doc__)} for path in refused.paths]
    if isinstance(refused, ChangedSince):
        problem = f"{files} changed since the run. Nothing was restored."
        return ApiError(409, "changed_since", problem, detail=detail)
    problem = f"The contents of {files} are not kept (UNDO_MAX_BYTES). Nothing was restored."
    return ApiError(409, "not_kept", problem, detail=detail)
