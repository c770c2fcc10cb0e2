"""The files of the workspace that a message brings along: each is one recorded execution of `fs.read`."""

import hashlib
from typing import Any, Final

import msgspec

from access.caller import Caller
from chat.starting.turns import discard
from spending.accounts import payer
from storage.writer import writer
from tools.base import Execution, Failed, ToolError, ToolRequest
from tools.execution.context import ToolContext
from tools.execution.executor import ToolExecutor
from tools.execution.offered import OfferedTools
from tools.resources import workspace
from tools.workspace import Deadline, in_thread

READ_TOOL: Final = "fs.read"


async def read_file(caller: Caller, tools: ToolContext, path: str, max_bytes: int, *, stored: bool) -> bytes:
    """Return the content of a file. Raises `ToolError`, as the caller's `fs.read` would.

    There is no run that could wait for an approval, so a file that needs one is `denied`.
    """
    executor = ToolExecutor(
        tools,
        payer(caller),
        writer.write if stored else discard,
        offered=OfferedTools(),
        stored=stored,
        granted=caller.scopes.may_use,
    )
    arguments = msgspec.json.encode({"path": path}).decode()
    call = executor.inspect(ToolRequest(tool=READ_TOOL, arguments=arguments, source="caller"))
    content: list[bytes] = []

    async def read_whole(_: msgspec.Struct, execution: Execution) -> dict[str, Any]:
        files = workspace().restricted(execution.permits) if execution.permits else workspace()
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
