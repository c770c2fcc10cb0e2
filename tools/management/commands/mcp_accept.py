"""`orchestrator mcp_accept`: accept the tools of an MCP server."""

import asyncio
import sys
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from access.caller import OPERATOR
from command_line.database import existing_database
from command_line.output import add_json, as_json
from spending.accounts import Payer
from storage.writer import writer
from tools import assembly
from tools.base import ToolError
from tools.mcp_client import entries, pins, tool_set
from tools.mcp_client.servers import McpServer
from tools.mcp_client.tool_set import ToolSet, difference
from tools.mcp_client.tools import INSTALL, installed
from tools.mcp_oauth.flow import authorization_link
from web.plurals import counted

LINK_SECONDS: Final = 3_600


class Command(BaseCommand):
    help = (
        "Show what is new, changed, renamed or gone in the tools that a server of MCP_SERVERS_FILE lists, and accept "
        "them. Until then no call of the server's tools is made. The acceptance is in the audit."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("server", help="the server's name in MCP_SERVERS_FILE; mcp_list lists them")
        parser.add_argument("--yes", action="store_true", help="accept without a question")
        add_json(parser, "the difference and the hash of the set")

    def handle(self, *, server: str, yes: bool, json: bool, **_: Any) -> None:
        found = self._found(server)
        with existing_database():
            before = pins.accepted().get(server)
            change = difference(before or ToolSet(), found)
            if before is None or change:
                for line in [] if json else tool_set.report(before or ToolSet(), found):
                    self.stdout.write(line)
                if not yes and not self._confirmed():
                    raise CommandError("Nothing was accepted. Add --yes to accept without a question.")
                pins.accept(server, found, by="command line")
        count = len(found.tools)
        if json:
            unusable = tool_set.unusable(found)
            shown = {"server": server, "sha256": found.sha256, "tools": count, "difference": change}
            self.stdout.write(as_json({**shown, "unusable": unusable, "changed": before is None or bool(change)}))
        elif before is not None and not change:
            self.stdout.write(f"Nothing has changed: {counted(count, 'tool')} of {server}, accepted before.")
        else:
            self.stdout.write(f"Accepted {counted(count, 'tool')} of {server}. The service offers them within seconds.")

    def _found(self, name: str) -> ToolSet:
        """Return the tools that the server lists now. Raises `CommandError`."""
        with existing_database():
            servers = {server.name: server for server in entries.servers()}
        if name not in servers:
            valid = f"there are {', '.join(servers)}" if servers else "MCP_SERVERS_FILE and the console name none"
            raise CommandError(f"There is no MCP server {name!r}; {valid}.")
        if not installed():
            raise CommandError(INSTALL)
        # Imported on first use, because the library is optional.
        from tools.mcp_client.connection import list_tools  # noqa: PLC0415

        try:
            if servers[name].oauth and (link := self._link(servers[name])):
                raise CommandError(f"Open {link} to authorize {name} for the operator, and then run this again.")
            found = asyncio.run(list_tools(servers[name]))
        except ToolError as error:
            raise CommandError(str(error)) from None
        # Refused now, because the service would refuse to start with them.
        if problem := tool_set.collision(name, found, assembly.names()):
            raise CommandError(problem)
        return found

    def _link(self, server: McpServer) -> str:
        """Return the link with which the operator authorizes a server; empty if that has been done."""
        with existing_database():
            try:
                return asyncio.run(authorization_link(server, Payer(owner=OPERATOR), None, LINK_SECONDS, decides=False))
            finally:
                writer.close()

    def _confirmed(self) -> bool:
        # A program that forgot --yes must not accept by accident, nor wait.
        if not sys.stdin.isatty():
            return False
        self.stdout.write("Accept these tools? [y/N] ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
