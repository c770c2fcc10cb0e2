"""`orchestrator mcp_list`: list the MCP servers, and whether each answers with the accepted tools."""

import asyncio
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from command_line.database import existing_database
from command_line.output import add_json, as_json
from tools import conf
from tools.base import ToolError
from tools.mcp_client import pins
from tools.mcp_client.servers import McpServer
from tools.mcp_client.tool_set import ToolSet
from tools.mcp_client.tools import INSTALL, installed, summary


class Command(BaseCommand):
    help = "List the servers of MCP_SERVERS_FILE: whether each answers, its accepted tools, and what differs from them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json(parser, "the servers")

    def handle(self, *, json: bool, **_: Any) -> None:
        servers = conf.mcp_servers()
        if servers and not installed():
            raise CommandError(INSTALL)
        found = asyncio.run(self._listed(servers)) if servers else []
        with existing_database():
            accepted = pins.accepted()
        rows = [_row(server, tools, accepted.get(server.name)) for server, tools in zip(servers, found, strict=True)]
        if json:
            self.stdout.write(as_json({"items": rows, "count": len(rows)}))
            return
        for row in rows:
            self.stdout.write(f"{row['server']:<18} {row['accepted']:>4} accepted  {row['state']}")

    async def _listed(self, servers: Sequence[McpServer]) -> list[ToolSet | ToolError]:
        # Imported on first use, because the library is optional.
        from tools.mcp_client.connection import list_tools  # noqa: PLC0415

        async def listed(server: McpServer) -> ToolSet | ToolError:
            try:
                return await list_tools(server)
            except ToolError as error:
                return error

        # All at once: a server that is down delays no other.
        return list(await asyncio.gather(*map(listed, servers)))


def _row(server: McpServer, found: ToolSet | ToolError, accepted: ToolSet | None) -> dict[str, Any]:
    """Return the row of a server. A URL may have a secret in its query, so that is left out."""
    row = {
        "server": server.name,
        "url": server.place,
        "accepted": len(accepted.tools) if accepted else 0,
        "listed": len(found.tools) if isinstance(found, ToolSet) else None,
    }
    if isinstance(found, ToolError):
        state = str(found)
    elif accepted is None:
        state = f"not accepted: run mcp_accept {server.name}"
    elif found.sha256 == accepted.sha256:
        state = "as accepted"
    else:
        state = f"differs: {summary(accepted, found)}"
    return {**row, "state": state}
