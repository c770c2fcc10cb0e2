"""`manage.py list_approvals`: list the executions that wait for a decision."""

from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from console.visible_text import visible_text_line
from tools.approvals import decisions
from tools.management.decision_command import unusable

SHORT = 400


class Command(BaseCommand):
    help = "List the executions that wait for an approval. Decide with approve_tool ID or deny_tool ID."

    def handle(self, **_: Any) -> None:
        try:
            waiting = decisions.waiting()
        except DatabaseError as error:
            raise CommandError(unusable(error)) from None
        for row in waiting:
            params = visible_text_line(msgspec.json.encode(row.params).decode(), SHORT)
            self.stdout.write(f"{row.id}  {row.tool} {params}")
            self.stdout.write(f"    requested by a {row.source}, expires {row.expires:%Y-%m-%d %H:%M:%S} UTC")
        self.stderr.write(f"{len(waiting)} waiting.")
