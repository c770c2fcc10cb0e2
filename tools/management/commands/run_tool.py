"""`orchestrator run_tool`: run one tool through the executor, with a row like any other execution."""

import asyncio
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, Final

import msgspec
from django.core.management.base import BaseCommand, CommandError

from access.caller import OPERATOR
from command_line.database import existing_database
from command_line.output import as_json
from command_line.program import PROGRAM
from console.visible_text import visible_text
from spending.accounts import Payer
from storage.writer import writer
from tools import assembly
from tools.base import Approval, Failed, Output, Progress, Succeeded, Tool, ToolRequest, Waiting
from tools.execution.executor import ToolExecutor
from tools.execution.offered import OfferedTools

DECIDER: Final = "command line"


class Command(BaseCommand):
    help = (
        "Run one tool in the workspace and print its result as JSON. Live output goes to stdout and stderr. "
        f"Example: {PROGRAM} run_tool fs.read --param path=README.md --param limit=5"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the tool's name; list_tools lists them")
        parser.add_argument(
            "--param", type=_pair, action="append", default=[], metavar="NAME=VALUE",
            help="a param: text as it is, other types as JSON (may be repeated)",
        )  # fmt: skip
        parser.add_argument("--yes", action="store_true", help="approve the call if TOOL_POLICY requires an approval")
        parser.add_argument(
            "--json", action="store_true", help="print live output on stderr, and only the result on stdout"
        )

    def handle(self, *, name: str, param: list[tuple[str, str]], yes: bool, json: bool, **_: Any) -> None:
        self._live = self.stderr if json else self.stdout
        # The database first: without it the tool would run in a workspace that no service uses either.
        with existing_database():
            # Servers of MCP may be named in the console only.
            asyncio.run(assembly.renew())
            tool = assembly.registry().get(name)
            if tool is None:
                raise CommandError(f"There is no tool {name!r}; there are {', '.join(assembly.registry().names)}.")
            arguments = msgspec.json.encode({key: _value(tool, key, value) for key, value in param}).decode()
            request = ToolRequest(tool=name, arguments=arguments, source="caller")
            try:
                outcome = asyncio.run(self._run(request, approved=yes))
            finally:
                writer.close()
        if isinstance(outcome, Failed):
            raise CommandError(f"{outcome.code}: {visible_text(outcome.error)}")
        self.stdout.write(as_json(outcome.data))

    async def _run(self, request: ToolRequest, *, approved: bool) -> Succeeded | Failed:
        context = assembly.tool_context()
        offered = OfferedTools(searchable=tuple(tool.spec for tool in context.registry if not tool.disabled))
        executor = ToolExecutor(context, Payer(owner=OPERATOR), writer.write, offered=offered, stored=True)
        last = await self._show(executor.execute(executor.inspect(request)))
        if isinstance(last, Waiting):
            approval = Approval(
                execution_id=last.execution_id,
                decision="approved" if approved or self._confirm(last) else "denied",
                params_sha256=last.params_sha256,
                by=DECIDER,
            )
            last = await self._show(executor.resume(executor.inspect(request), approval))
        if not isinstance(last, Succeeded | Failed):
            raise CommandError("The tool ended without a result.")
        return last

    async def _show(self, steps: Any) -> Progress | None:
        """Print live output, and return the last step."""
        step: Progress | None = None
        async for step in steps:
            if isinstance(step, Output):
                stream = self._live if step.stream == "stdout" else self.stderr
                # On a terminal, a program's output must not move the cursor or set the title.
                stream.write(visible_text(step.text) if stream.isatty() else step.text, ending="")
        return step

    def _confirm(self, waiting: Waiting) -> bool:
        if not sys.stdin.isatty():
            raise CommandError("TOOL_POLICY requires an approval: add --yes.")
        self.stderr.write(as_json(waiting.params))
        return input("Run it? [y/N] ").strip().lower() in {"y", "yes"}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _value(tool: Tool, name: str, text: str) -> Any:
    """Return the text itself, or what it means as JSON if the tool takes another type."""
    # A schema from outside may have no properties, and any of them may be `true`.
    properties = tool.spec.parameters.get("properties")
    schema = properties.get(name) if isinstance(properties, dict) else None
    schema = schema if isinstance(schema, dict) else {}
    # A param that may be a text is one: `--param content=123` writes the digits.
    if "string" in str(schema.get("type") or schema.get("anyOf", "string")):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
