"""`orchestrator mcp`: an MCP server over standard input and output, for desktop clients."""

import asyncio
import sys
from typing import Any

import msgspec
from django.core.management.base import BaseCommand

from access.caller import LOCAL
from command_line.database import existing_database
from command_line.program import PROGRAM
from storage.writer import writer
from tools.mcp_server import server
from web import strict_json


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
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            try:
                message = strict_json.loads(line)
            except strict_json.NotJson:
                message = None
            answer, _ = await server.reply(message, LOCAL)
            if answer is not None:
                # A message is one line. JSON has no line ends outside of its texts, where they are escaped.
                sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
                sys.stdout.buffer.flush()
