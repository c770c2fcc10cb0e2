"""`orchestrator prune`: report old data, and remove it on request."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone

from command_line.database import existing_database
from command_line.output import add_json, as_json
from command_line.program import PROGRAM
from orchestrator_site.retention import STRAY_AFTER, Ages, Pruned, count, prune
from storage import durations
from tools import resources
from web.plurals import counted, noun_for


class Command(BaseCommand):
    help = (
        "Remove sessions with their messages, tool executions with their outputs, and speech calls that are older than "
        "an age. Also remove the frames of runs that ended EVENT_RETENTION_HOURS ago, and outputs without a row "
        "that are older than a day. Without --yes, only report what would be removed. Safe while the service runs: "
        f"open and waiting runs are never removed. Example: {PROGRAM} prune --older-than 30d"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--older-than", type=_age, required=True, metavar="AGE", help="such as 12h, 30d or 2w")
        parser.add_argument("--yes", action="store_true", help="remove the data")
        parser.add_argument(
            "--vacuum", action="store_true",
            help="then return the space to the disk: copies the whole database, and blocks all writers meanwhile",
        )  # fmt: skip
        add_json(parser, "the counts")

    def handle(self, *, older_than: timedelta, yes: bool, vacuum: bool, json: bool, **_: Any) -> None:
        now = timezone.now()
        frames = timedelta(hours=settings.EVENT_RETENTION_HOURS)
        ages = Ages(rows=now - older_than, frames=now - frames, strays=now - STRAY_AFTER)
        try:
            with existing_database():
                done = list((prune if yes else count)(ages, resources.outputs(), resources.changes()))
                self._print(done, removed=yes, json=json)
                if yes and vacuum:
                    with connection.cursor() as cursor:
                        cursor.execute("VACUUM")
                    (self.stderr if json else self.stdout).write("The database was vacuumed.")
        except OSError as error:
            raise CommandError(f"A stored output could not be looked at or removed: {error}") from None

    def _print(self, done: list[Pruned], *, removed: bool, json: bool) -> None:
        rows, size = sum(part.rows for part in done), sum(part.bytes for part in done)
        if json:
            self.stdout.write(as_json({"removed": removed, "parts": done, "rows": rows, "bytes": size}))
            return
        for part in done:
            self.stdout.write(f"{part.name:20} {part.rows:>10} {part.bytes:>15,} bytes")
        summary = f"{rows} {noun_for(rows, 'row or file', 'rows and files')}, {counted(size, 'byte')}"
        self.stdout.write(
            f"{summary} {noun_for(rows, 'was', 'were')} removed."
            if removed
            else f"{summary} would be removed. Add --yes to remove them."
        )


def _age(text: str) -> timedelta:
    try:
        return durations.parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
