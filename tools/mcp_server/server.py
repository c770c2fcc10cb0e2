"""The methods of the MCP server. Tools run through the same executor as those of runs, and are recorded."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from django.conf import settings

from access.caller import Caller
from spending.accounts import payer
from storage.writer import writer
from tools.assembly import tool_context
from tools.base import Failed, Succeeded, Tool, ToolError, ToolRequest
from tools.execution.executor import ToolExecutor
from tools.execution.offered import OfferedTools
from tools.mcp_server.protocol import (
    HANDSHAKES,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    STATELESS,
    UNSUPPORTED_VERSION,
    VERSIONS,
    RpcError,
    RpcRequest,
    failure,
    parse,
    result,
)

NAME: Final = "orchestrator-service"
CAPABILITIES: Final = {"tools": {"listChanged": False}}
COMPLETE: Final = {"resultType": "complete"}
"""A field that every result of 2026-07-28 has, and that older clients ignore."""

CACHING: Final = {"ttlMs": 0, "cacheScope": "private"}
INSTRUCTIONS: Final = "Paths are relative to the caller's workspace. Each call of a tool is recorded."
NEEDS_APPROVAL: Final = (
    "TOOL_POLICY requires an approval for this call, which only a run can wait for: use /chat/stream."
)


async def reply(message: Any, caller: Caller, version: str = "") -> tuple[dict[str, Any] | None, bool]:
    """Return the answer to a message, or None if it gets none; and whether the message itself is at fault.

    `version` is the header `MCP-Protocol-Version`.
    """
    number = message.get("id") if isinstance(message, dict) else None
    try:
        if version and version not in VERSIONS:
            supported = {"supported": list(VERSIONS), "requested": version[:80]}
            error = f"Unsupported protocol version {version[:80]!r}. Supported: {', '.join(VERSIONS)}."
            raise RpcError(UNSUPPORTED_VERSION, error, supported)
        request = parse(message)
        if request is None or request.id is None:
            return None, False
        return result(request, await _answer(request, caller)), False
    except RpcError as error:
        is_bad = error.code in {INVALID_REQUEST, UNSUPPORTED_VERSION}
        return failure(number if isinstance(number, str | int) else None, error), is_bad


async def _answer(request: RpcRequest, caller: Caller) -> dict[str, Any]:
    """Return the result of a request. Raises `RpcError`."""
    if request.method == "initialize":
        wanted = request.params.get("protocolVersion")
        chosen = wanted if wanted in HANDSHAKES else HANDSHAKES[-1]
        server = {"name": NAME, "version": settings.VERSION}
        fields = {"protocolVersion": chosen, "capabilities": CAPABILITIES, "serverInfo": server}
        return {**fields, "instructions": INSTRUCTIONS}
    if request.method == "server/discover":
        fields = {"supportedVersions": list(STATELESS), "capabilities": CAPABILITIES, "instructions": INSTRUCTIONS}
        return {**fields, **COMPLETE, **CACHING}
    if request.method == "ping":
        return {}
    if request.method == "tools/list":
        tools = [
            {
                "name": tool.name,
                "description": tool.spec.description,
                "inputSchema": dict(tool.spec.parameters),
                "annotations": {
                    "readOnlyHint": tool.effect == "read",
                    "destructiveHint": tool.effect != "read",
                    "openWorldHint": tool.effect == "network",
                },
            }
            for tool in _offered(caller)
        ]
        return {"tools": tools, **COMPLETE, **CACHING}
    if request.method == "tools/call":
        return {**await _call(request.params, caller), **COMPLETE}
    raise RpcError(METHOD_NOT_FOUND, f"There is no method {request.method[:80]!r}.")


def _offered(caller: Caller) -> list[Tool]:
    """Return the tools that the caller may run, in a stable order."""
    context = tool_context()
    return [
        tool
        for tool in context.registry
        if caller.scopes.may_use(tool.name)
        and not tool.disabled
        # Without facets, only a rule that denies the tool with any params holds.
        and context.policy.decide(tool.name, tool.effect, "caller", {}) != "deny"
    ]


async def _call(params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """Run a tool, and return its result. A failure of the tool is a result too, which a model can read."""
    name, arguments = params.get("name"), params.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise RpcError(INVALID_PARAMS, "tools/call takes a name, and arguments as an object.")
    if name not in {tool.name for tool in _offered(caller)}:
        raise RpcError(INVALID_PARAMS, f"There is no tool {name[:80]!r}; tools/list names the tools.")
    stored = bool(settings.ENABLE_PERSISTENCE)
    executor = ToolExecutor(
        tool_context(),
        payer(caller),
        writer.write if stored else _discard,
        offered=OfferedTools(),
        stored=stored,
        granted=caller.scopes.may_use,
    )
    text = msgspec.json.encode(arguments).decode()
    call = executor.inspect(ToolRequest(tool=name, arguments=text, source="caller"))
    if call.refusal is None and call.decision == "ask":
        call = msgspec.structs.replace(call, refusal=ToolError(NEEDS_APPROVAL, code="denied"))
    steps = [step async for step in executor.execute(call)]
    last = steps[-1]
    if isinstance(last, Succeeded):
        structured = {"structuredContent": last.data} if isinstance(last.data, dict) else {}
        return {"content": [{"type": "text", "text": last.content}], **structured, "isError": False}
    problem = f"{last.code}: {last.error}" if isinstance(last, Failed) else "The tool ended without a result."
    return {"content": [{"type": "text", "text": problem}], "isError": True}


async def _discard(_: object) -> None:
    """Store nothing."""
