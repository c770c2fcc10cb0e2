"""The tools of MCP servers, made from the accepted sets. Nothing connects to a server before a tool is called."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

from storage.writer import writer
from tools.base import Execution, JsonParams, Tool, ToolError, ToolSpec, json_facets, json_implied
from tools.mcp_client import pins, questions, tool_set
from tools.mcp_client.results import data_of
from tools.mcp_client.servers import McpServer
from tools.mcp_client.tool_set import ToolSet, difference, qualified
from tools.mcp_oauth.flow import authorization_link
from tools.sandbox.confinement import kernel_confinement
from tools.sandbox.refusals import SandboxUnavailableError

INSTALL: Final = "mcp is not installed; run uv sync --extra mcp --no-dev --inexact"
ACCEPT: Final = "An operator can accept them with mcp_accept {server}, or in the console"
MAX_PROGRESS: Final = 1_000
"""Messages of progress that one call shows."""

MAX_PROGRESS_CHARS: Final = 1_000
MAX_WAITING: Final = 64
"""Calls that wait until others of the same server have ended."""


NOTHING: Final = ToolSet()


def installed() -> bool:
    """Return whether the client library is there."""
    return find_spec("mcp") is not None


class PinnedServer:
    """A server whose `accepted` tools may be called. Each call needs a tool that is accepted at that moment."""

    def __init__(self, server: McpServer, accepted: ToolSet = NOTHING) -> None:
        self.server = server
        self.accepted = accepted
        self._made: tuple[ToolSet | None, tuple[Tool, ...]] = (None, ())
        self._places = asyncio.Semaphore(server.max_parallel)
        self._waiting = 0

    def tools(self) -> tuple[Tool, ...]:
        """Return the usable tools of the accepted set: the same objects, as long as the set is the same."""
        made_for, made = self._made
        if made_for is self.accepted:
            return made
        confinement, disabled = "mcp", "" if installed() else INSTALL
        if self.server.command:
            try:
                confinement = f"{kernel_confinement().level}{', network' if self.server.network else ''}"
            except SandboxUnavailableError as error:
                disabled = disabled or str(error).rstrip(".")
        usable = [tool for tool in self.accepted.tools if not tool_set.why_unusable(tool)]
        made = tuple(self._tool(tool, confinement, disabled) for tool in usable)
        self._made = self.accepted, made
        return made

    def _tool(self, tool: Mapping[str, Any], confinement: str, disabled: str) -> Tool:
        name = tool["name"]

        async def run(params: Any, execution: Execution) -> dict[str, Any]:
            return await self._call(name, params.given, execution)

        spec = ToolSpec(
            name=qualified(self.server.name, name),
            description=tool_set.description(tool),
            parameters=tool_set.parameters(tool),
        )
        return Tool(
            spec=spec,
            effect=self.server.effect,
            params=JsonParams,
            run=run,
            confinement=confinement,
            disabled=disabled,
            facets=json_facets,
            implied=json_implied,
            schema=tool_set.schema_text(tool),
            taints="mcp",
            authorize=partial(authorization_link, self.server) if self.server.oauth else None,
        )

    async def _call(self, name: str, arguments: dict[str, Any], execution: Execution) -> dict[str, Any]:
        # Imported on first use, because the library takes most of a second to import and is optional.
        from tools.mcp_client.connection import call_tool  # noqa: PLC0415

        shown = 0

        async def progressed(text: str) -> None:
            nonlocal shown
            # A server decides how much it reports.
            shown += 1
            if shown <= MAX_PROGRESS:
                await execution.emit("stdout", f"{tool_set.visible(text)[:MAX_PROGRESS_CHARS]}\n")

        async with self.place():
            result = await call_tool(
                self.server,
                execution.owner,
                name,
                arguments,
                check=self.check,
                progressed=progressed,
                ask=partial(questions.ask, self.server.name, execution),
            )
        return data_of(result)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for a call, for which other calls may have to end. Raises `ToolError`."""
        if self._waiting >= MAX_WAITING:
            raise ToolError(f"Too many calls of the MCP server {self.server.name} wait already.", code="failed")
        # Counted, because each call that waits holds a run.
        self._waiting += 1
        try:
            async with asyncio.timeout(self.server.total_seconds):
                await self._places.acquire()
        except TimeoutError:
            what = f"Other calls of the MCP server {self.server.name} did not end in time. Nothing was called."
            raise ToolError(what, code="timed_out") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    async def check(self, found: ToolSet) -> None:
        """Raise `ToolError` if the server's tools are not the accepted ones, and store them for an operator."""
        if found.sha256 == self.accepted.sha256:
            return
        await writer.write(partial(pins.note_found, self.server.name, found))
        advice = ACCEPT.format(server=self.server.name)
        what = f"The tools of the MCP server {self.server.name} are not those that an operator accepted"
        raise ToolError(f"{what} ({summary(self.accepted, found)}). {advice}.", code="denied")


async def ask(servers: Sequence[McpServer]) -> list[ToolSet | ToolError]:
    """Return the tools that each server lists now, or the error. A server that is down delays no other."""
    # Imported on first use, because the library is optional.
    from tools.mcp_client.connection import list_tools  # noqa: PLC0415

    async def listed(server: McpServer) -> ToolSet | ToolError:
        try:
            return await list_tools(server)
        except ToolError as error:
            return error

    return list(await asyncio.gather(*map(listed, servers)))


def state(server: str, found: ToolSet | ToolError, accepted: ToolSet | None) -> str:
    """Return the state of a server for an operator, as a part of a sentence."""
    if isinstance(found, ToolError):
        return str(found)
    if accepted is None:
        return f"not accepted: run mcp_accept {server}"
    return "as accepted" if found.sha256 == accepted.sha256 else f"differs: {summary(accepted, found)}"


def summary(accepted: ToolSet, found: ToolSet) -> str:
    """Return the differences of a set as a part of a sentence, bounded."""
    change = difference(accepted, found)
    renamed = [f"{old} to {new}" for old, new in change.renamed.items()]
    parts = {"new": change.new, "changed": tuple(change.changed), "renamed": tuple(renamed), "gone": change.gone}
    return "; ".join(f"{kind}: {tool_set.names(names)}" for kind, names in parts.items() if names)
