"""`orchestrator mcp`: an MCP server over standard input and output, for desktop clients."""

import asyncio
import sys
from typing import Any

from django.core.management.base import BaseCommand

from access.caller import LOCAL
from command_line.database import existing_database
from command_line.program import PROGRAM
from storage.writer import writer
from tools.mcp_server.transports.stdio import StdioServer


class Command(BaseCommand):
    help = (
        "Serve the tools of the operator's workspace over standard input and output, as desktop clients of the Model "
        f"Context Protocol start it. Name this command in its configuration: {PROGRAM} mcp. Calls are recorded."
    )

    def handle(self, **_: Any) -> None:
        with existing_database():
            try:
                asyncio.run(self._serve())
            finally:
                writer.close()

    async def _serve(self) -> None:
        await StdioServer(sys.stdin.buffer, sys.stdout.buffer, LOCAL).serve()
