"""`orchestrator list_tools`: list the tools of this service."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from command_line.output import add_json, as_json
from tools import assembly, shared_tools
from tools.listing import describe_tools


class Command(BaseCommand):
    help = "List the tools: whether each is on, its effect, and the decision of TOOL_POLICY."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json(parser, "the body of GET /tools, with confinement and the params' schemas,")

    def handle(self, *, json: bool, **_: Any) -> None:
        # Servers of MCP may be named in the console only.
        shared_tools.load()
        tools = describe_tools(assembly.tool_context())
        if json:
            self.stdout.write(as_json(tools))
            return
        for item in tools["items"]:
            model, caller = item["policy"], item["policy_for_caller"]
            state = model if model == caller else f"{model} (caller: {caller})"
            if item["reason"]:
                state = f"off: {item['reason']}"
            first_line = item["description"].split("\n", 1)[0]
            self.stdout.write(f"{item['name']:<18} {item['effect']:<8} {state:<8} {first_line}")
