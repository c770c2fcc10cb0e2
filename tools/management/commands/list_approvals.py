"""`orchestrator list_approvals`: list the executions that wait for a decision."""

from argparse import ArgumentParser
from typing import Any, Final
from uuid import UUID

import msgspec
from django.core.management.base import BaseCommand, CommandError

from command_line.database import existing_database
from command_line.output import add_json, as_json
from console.visible_text import visible_text, visible_text_line
from tools.approvals import decisions
from tools.execution.taint import described
from tools.queries import as_dict
from web.plurals import counted

SHORT: Final = 400
"""Characters of each param in the list."""

FIRST: Final = ("path", "command", "argv")
"""Params that say what a call reaches, and are shown before longer ones."""


class Command(BaseCommand):
    help = (
        "List the executions that wait for an approval, with their params; with an ID, show those of one execution "
        "whole. Decide with approve_tool ID or deny_tool ID."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=UUID, nargs="?", help="show the params of this execution whole")
        add_json(parser, "the executions with their whole params")

    def handle(self, *, id: UUID | None, json: bool, **_: Any) -> None:  # noqa: A002 - the argument's name
        with existing_database():
            waiting = [row for row in decisions.waiting() if id in {None, row.id}]
        if id is not None and not waiting:
            raise CommandError(f"No execution with the ID {id} waits for an approval.")
        if json:
            self.stdout.write(as_json({"items": [as_dict(row) for row in waiting], "count": len(waiting)}))
            return
        for row in waiting:
            self.stdout.write(f"{row.id}  {row.tool}")
            self.stdout.write(f"    requested by a {row.source}, expires {row.expires:%Y-%m-%d %H:%M:%S} UTC")
            if row.taint:
                self.stdout.write(f"    the conversation holds texts from outside: {described(row.taint)}")
            for name, value in _ordered(row.params):
                self.stdout.write(f"    {_shown(name, value, whole=id is not None)}")
        self.stderr.write(f"{counted(len(waiting), 'execution waits', 'executions wait')} for a decision.")


def _ordered(params: Any) -> list[tuple[str, Any]]:
    fields = list(params.items()) if isinstance(params, dict) else [("params", params)]
    return sorted(fields, key=lambda field: FIRST.index(field[0]) if field[0] in FIRST else len(FIRST))


def _shown(name: str, value: Any, *, whole: bool) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    label = visible_text_line(name, SHORT)
    if whole:
        return f"{label}: {visible_text(text)}"
    rest = f" ({counted(len(text), 'character')}; list_approvals ID shows all)" if len(text) > SHORT else ""
    return f"{label}: {visible_text_line(text, SHORT)}{rest}"
