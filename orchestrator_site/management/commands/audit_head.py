"""`orchestrator audit_head`: print the last entry of the audit chain."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import chain, conf
from command_line.database import existing_database
from command_line.output import add_json, as_json
from command_line.program import PROGRAM


class Command(BaseCommand):
    help = (
        "Print the number, the hash and the time of the last entry of the audit chain. Keep it on another machine: "
        f"{PROGRAM} verify_audit --number N --head HASH then notices if the end of the chain was removed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json(parser, "the head")

    def handle(self, *, json: bool, **_: Any) -> None:
        if not conf.is_kept():
            raise CommandError("ENABLE_PERSISTENCE=false keeps no audit chain.")
        with existing_database():
            head = chain.head()
        time = head.time.isoformat(timespec="microseconds").replace("+00:00", "Z") if head.time else "-"
        self.stdout.write(as_json(head) if json else f"{head.number} {head.hash} {time}")
