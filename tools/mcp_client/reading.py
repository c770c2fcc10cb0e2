"""Resources and prompts of MCP servers, as plain data. Reading has no effect, so it may be repeated."""

from typing import Any, Final

from mcp import types
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter

from tools.base import ToolError
from tools.mcp_client.connection import NO_INPUT, Check, request
from tools.mcp_client.results import part_text
from tools.mcp_client.servers import McpServer
from tools.mcp_client.session import MAX_PAGES, Session
from tools.mcp_client.tool_set import visible

MAX_LISTED: Final = 1_000
"""Entries of one list."""

READ_RESULT: Final[TypeAdapter[Any]] = TypeAdapter(types.ReadResourceResult | types.InputRequiredResult)
PROMPT_RESULT: Final[TypeAdapter[Any]] = TypeAdapter(types.GetPromptResult | types.InputRequiredResult)


async def list_resources(server: McpServer, owner: str, check: Check) -> dict[str, Any]:
    """Return the resources and the templates of resources that a server lists. Raises `ToolError`."""

    async def send(session: Session, _: object) -> dict[str, Any]:
        fields = ("name", "title", "description", "mimeType")
        found = await _listed(session, types.ListResourcesRequest, types.ListResourcesResult, ("uri", *fields))
        templates = await _listed(
            session, types.ListResourceTemplatesRequest, types.ListResourceTemplatesResult, ("uriTemplate", *fields)
        )
        return {"resources": found, "templates": templates}

    return await request(server, owner, check, send)


async def read_resource(server: McpServer, owner: str, uri: str, check: Check) -> dict[str, Any]:
    """Return a resource as text. The bytes of other content are named only. Raises `ToolError`."""

    async def send(session: Session, _: object) -> dict[str, Any]:
        params = types.ReadResourceRequestParams(uri=uri)
        return await session.ask(types.ReadResourceRequest(params=params), READ_RESULT)

    result = await request(server, owner, check, send)
    if "contents" not in result:
        raise ToolError(NO_INPUT, code="failed")
    parts = [part_text({"type": "resource", "resource": content}) for content in result["contents"]]
    return {"uri": uri, "text": "\n\n".join(parts)}


async def list_prompts(server: McpServer, owner: str, check: Check) -> list[dict[str, Any]]:
    """Return the prompts that a server lists. Raises `ToolError`."""

    async def send(session: Session, _: object) -> list[dict[str, Any]]:
        fields = ("name", "title", "description", "arguments")
        return await _listed(session, types.ListPromptsRequest, types.ListPromptsResult, fields)

    return await request(server, owner, check, send)


async def get_prompt(
    server: McpServer, owner: str, name: str, arguments: dict[str, str], check: Check
) -> dict[str, Any]:
    """Return the messages of a prompt, each with its role and its content as text. Raises `ToolError`."""

    async def send(session: Session, _: object) -> dict[str, Any]:
        params = types.GetPromptRequestParams(name=name, arguments=arguments)
        return await session.ask(types.GetPromptRequest(params=params), PROMPT_RESULT)

    result = await request(server, owner, check, send)
    if "messages" not in result:
        raise ToolError(NO_INPUT, code="failed")
    messages = [{"role": one["role"], "text": visible(part_text(one["content"]))} for one in result["messages"]]
    return {"description": visible(result.get("description") or ""), "messages": messages}


async def _listed(session: Session, asked: Any, result: Any, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return these fields of all entries of a list; none if the server has no such list."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        try:
            page = await session.ask(asked(params=types.PaginatedRequestParams(cursor=cursor)), TypeAdapter(result))
        except MCPError as error:
            if error.code == types.METHOD_NOT_FOUND and not found:
                return []
            raise
        entries = next(value for value in page.values() if isinstance(value, list))
        found += [{field: entry[field] for field in fields if entry.get(field) is not None} for entry in entries]
        cursor = page.get("nextCursor")
        if cursor is None or len(found) >= MAX_LISTED:
            break
    return found[:MAX_LISTED]
