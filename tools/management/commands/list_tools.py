"""`manage.py list_tools`: what an agent may do here."""

from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand

from tools import assembly
from tools.listing import describe_tools


class Command(BaseCommand):
    help = "Lists the tools: whether each is on, what it does, what holds it, and what TOOL_POLICY says of it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="as GET /tools gives it, with every param's schema")

    def handle(self, *, json: bool, **_: Any) -> None:
        told = describe_tools(assembly.tool_context())
        if json:
            self.stdout.write(msgspec.json.format(msgspec.json.encode(told)).decode())
            return
        for item in told["items"]:
            state = f"off: {item['reason']}" if item["reason"] else _policy(item)
            first_line = item["description"].split("\n", 1)[0]
            self.stdout.write(f"{item['name']:<18} {item['effect']:<8} {state:<8} {first_line}")


def _policy(item: dict[str, Any]) -> str:
    model, caller = item["policy"], item["policy_for_caller"]
    return str(model) if model == caller else f"{model} (caller: {caller})"
