"""The files of the workspace that a message brings along: each is one recorded execution of `fs.read`."""

import hashlib
from typing import Any, Final
from uuid import UUID

import msgspec

from access.caller import Caller
from chat.history import queries
from chat.runs.start.begin import SessionNotFound
from chat.starting.turns import discard
from spending.accounts import payer
from storage.reader import read
from storage.writer import writer
from tools.base import Execution, Failed, ToolError, ToolRequest
from tools.execution.context import ToolContext
from tools.execution.executor import ToolExecutor
from tools.execution.offered import OfferedTools
from tools.resources import workspaces
from tools.workspace import Deadline, in_thread

READ_TOOL: Final = "fs.read"


async def read_file(
    caller: Caller, session_id: UUID | None, tools: ToolContext, path: str, max_bytes: int, *, stored: bool
) -> bytes:
    """Return the content of a file of the caller's workspace. Raises `ToolError`, as the caller's `fs.read` would.

    Raises `SessionNotFound` for a session of another owner.

    There is no run that could wait for an approval, so a file that needs one is `denied`.
    """
    # A session may have a workspace of its own, which is opened before the run claims the session.
    if session_id is not None and await read(queries.session, session_id, caller.owner) is None:
        raise SessionNotFound
    executor = ToolExecutor(
        tools,
        payer(caller, session_id=session_id),
        writer.write if stored else discard,
        offered=OfferedTools(),
        stored=stored,
        granted=caller.scopes.may_use,
    )
    arguments = msgspec.json.encode({"path": path}).decode()
    call = executor.inspect(ToolRequest(tool=READ_TOOL, arguments=arguments, source="caller"))
    content: list[bytes] = []

    async def read_whole(_: msgspec.Struct, execution: Execution) -> dict[str, Any]:
        files = workspaces().at(caller.owner, session_id)
        files = files.restricted(execution.permits) if execution.permits else files
        data = await in_thread(lambda: files.read_bytes(path, max_bytes), Deadline(files.limits.max_seconds))
        content.append(data)
        # The row needs no copy of the file.
        return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    if call.tool is not None:
        call = msgspec.structs.replace(call, tool=msgspec.structs.replace(call.tool, run=read_whole))
    if call.refusal is None and call.decision == "ask":
        reason = "TOOL_POLICY requires an approval for this file, and only a tool call can wait for one"
        call = msgspec.structs.replace(call, refusal=ToolError(f"{reason}: call {READ_TOOL}.", code="denied"))
    async for step in executor.execute(call):
        if isinstance(step, Failed):
            raise ToolError(step.error, code=step.code)
    return content[0]
