"""`orchestrator mcp_list`: list the MCP servers, and whether each answers with the accepted tools."""

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from command_line.database import existing_database
from command_line.output import add_json, as_json
from tools.base import ToolError
from tools.mcp_client import entries, pins
from tools.mcp_client.servers import McpServer
from tools.mcp_client.tool_set import ToolSet
from tools.mcp_client.tools import INSTALL, ask, installed, state


class Command(BaseCommand):
    help = (
        "List the MCP servers of MCP_SERVERS_FILE and of the console: whether each answers, its accepted tools, and "
        "what differs from them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json(parser, "the servers")

    def handle(self, *, json: bool, **_: Any) -> None:
        with existing_database():
            servers = entries.servers()
        if servers and not installed():
            raise CommandError(INSTALL)
        found = asyncio.run(ask(servers)) if servers else []
        with existing_database():
            accepted = pins.accepted()
        rows = [_row(server, tools, accepted.get(server.name)) for server, tools in zip(servers, found, strict=True)]
        if json:
            self.stdout.write(as_json({"items": rows, "count": len(rows)}))
            return
        for row in rows:
            self.stdout.write(f"{row['server']:<18} {row['accepted']:>4} accepted  {row['state']}")


def _row(server: McpServer, found: ToolSet | ToolError, accepted: ToolSet | None) -> dict[str, Any]:
    """Return the row of a server. A URL may have a secret in its query, so that is left out."""
    row = {
        "server": server.name,
        "url": server.place,
        "accepted": len(accepted.tools) if accepted else 0,
        "listed": len(found.tools) if isinstance(found, ToolSet) else None,
    }
    return {**row, "state": state(server.name, found, accepted)}
