"""The endpoints of the prompts of MCP servers."""

import asyncio
from typing import Any, Final

from django.http import HttpRequest
from ninja import Field, Router, Schema
from ninja.params import functions as params

from access.auth import caller
from access.caller import Caller
from tools import assembly, shared_tools
from tools.base import ToolError, ToolErrorCode
from tools.execution.outcome import masked
from tools.mcp_client.resource_tool import READ, reading_scope
from tools.mcp_client.servers import McpServer
from tools.mcp_client.tools import PinnedServer, installed
from tools.policy import PolicyInput
from web import strict_json
from web.errors import ApiError
from web.schemas import errors

router = Router()

TAGS: Final = ["mcp"]

ERRORS: Final = errors(401, 403, 404, 422, 429, 502, 504)
STATUSES: Final[dict[ToolErrorCode, int]] = {"denied": 403, "timed_out": 504}
MAX_ARGUMENTS: Final = 64
ARGUMENTS: Final[Any] = params.Query(
    "{}", max_length=65_536, description="The prompt's arguments: a JSON object whose values are texts."
)


class PromptArgument(Schema):
    """An argument of a prompt."""

    name: str = Field(description="The name of the argument.")
    description: str | None = Field(None, description="What it is for. Null if the server does not say.")
    required: bool | None = Field(None, description="True if the prompt needs it. Null if the server does not say.")


class PromptOut(Schema):
    """A prompt of a server."""

    server: str = Field(description="The name of the MCP server.")
    name: str = Field(description="The name of the prompt.")
    title: str | None = Field(None, description="A name for people. Null if there is none.")
    description: str | None = Field(None, description="What the prompt is for. Null if the server does not say.")
    arguments: list[PromptArgument] = Field([], description="The arguments that the prompt takes.")


class FailedServer(Schema):
    """A server whose prompts could not be listed."""

    server: str = Field(description="The name of the MCP server.")
    error: str = Field(description="The reason, as a sentence.")


class PromptList(Schema):
    """The prompts of all servers that the caller may read from."""

    items: list[PromptOut] = Field(description="The prompts, by server.")
    count: int = Field(description="The number of prompts.")
    failed: list[FailedServer] = Field(description="The servers that did not answer, or whose tools have changed.")


class PromptMessage(Schema):
    """A message of a prompt."""

    role: str = Field(description="`user` or `assistant`.")
    text: str = Field(description="The text. Other content is named with its type and size.")


class FilledPrompt(Schema):
    """A prompt with its arguments filled in."""

    description: str = Field(description="What the prompt is for. Empty if the server does not say.")
    messages: list[PromptMessage] = Field(description="The messages, in their order.")


@router.get("/mcp/prompts", response={200: PromptList, **ERRORS}, tags=TAGS)
async def list_mcp_prompts(request: HttpRequest) -> dict[str, Any]:
    """List the prompts of the MCP servers that the caller may read from."""
    who = caller(request)
    servers = _servers(who)

    async def prompts(server: PinnedServer) -> list[dict[str, Any]] | ToolError:
        # Imported on first use, because the library is optional.
        from tools.mcp_client.reading import list_prompts  # noqa: PLC0415

        try:
            async with server.place():
                return await list_prompts(server.server, who.owner, server.check)
        except ToolError as error:
            return error

    # All at once: a server that is down delays no other beyond its own limit.
    answers = await asyncio.gather(*map(prompts, servers.values()))
    items: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for name, answer in zip(servers, answers, strict=True):
        if isinstance(answer, ToolError):
            failed.append({"server": name, "error": str(answer)})
        else:
            items += [{"server": name, **prompt} for prompt in answer]
    listed = {"items": items, "count": len(items), "failed": failed}
    return dict(masked(listed, assembly.tool_context().masker))


@router.get("/mcp/prompts/{server}/{path:name}", response={200: FilledPrompt, **ERRORS}, tags=TAGS)
async def get_mcp_prompt(request: HttpRequest, server: str, name: str, arguments: str = ARGUMENTS) -> dict[str, Any]:
    """Return the messages of a prompt with these arguments. They are data from the server."""
    who = caller(request)
    servers = _servers(who)
    if server not in servers:
        valid = f"there are {', '.join(servers)}" if servers else "the key may read from none"
        raise ApiError(404, "not_found", f"There is no MCP server {server[:80]!r}; {valid}.")
    try:
        given = strict_json.loads(arguments.encode())
    except strict_json.NotJson as error:
        raise ApiError(422, "invalid_field", f"arguments: {error}") from None
    if not isinstance(given, dict) or len(given) > MAX_ARGUMENTS or not all(isinstance(v, str) for v in given.values()):
        raise ApiError(422, "invalid_field", "arguments: it must be a JSON object of at most 64 texts.")
    # Imported on first use, because the library is optional.
    from tools.mcp_client.reading import get_prompt  # noqa: PLC0415

    pinned, masker = servers[server], assembly.tool_context().masker
    try:
        async with pinned.place():
            found = await get_prompt(pinned.server, who.owner, name, given, pinned.check)
    except ToolError as error:
        raise ApiError(STATUSES.get(error.code, 502), error.code, masker.text(str(error))) from None
    return dict(masked(found, masker))


def _servers(who: Caller) -> dict[str, PinnedServer]:
    """Return the servers that the caller may read from, by name."""
    if not (installed() and who.scopes.may_use(READ)):
        return {}
    policy = assembly.tool_context().policy

    def is_allowed(server: McpServer) -> bool:
        facets = {"server": [server.name]}
        return policy.decide(PolicyInput(tool=READ, effect=server.effect, source="caller", facets=facets)) == "allow"

    return {
        pinned.server.name: pinned
        for pinned in shared_tools.mcp_servers()
        if who.scopes.may_use(reading_scope(pinned.server.name)) and is_allowed(pinned.server)
    }
