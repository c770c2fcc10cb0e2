"""`orchestrator export_session`: a session as a file."""

import sys
from argparse import ArgumentParser
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from chat.history.transfer.files import Kind, SessionFile
from chat.history.transfer.reading import SessionReader
from command_line.database import existing_database
from command_line.program import PROGRAM
from web.plurals import counted


class Command(BaseCommand):
    help = (
        "Write a session of any owner as JSON Lines, which import_session reads, or as one HTML page to read. Ids and "
        f"owners are left out. Example: {PROGRAM} export_session 5949bc40-... --output chat.jsonl"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("session", type=UUID, metavar="SESSION", help="the id of the session")
        parser.add_argument("--format", choices=("jsonl", "html"), default="jsonl", help="jsonl (default) or html")
        parser.add_argument("--output", type=Path, metavar="FILE", help="the file; by default, standard output")

    def handle(self, *, session: UUID, format: Kind, output: Path | None, **_: Any) -> None:  # noqa: A002 - the option
        file, count = SessionFile(format), 0
        with existing_database():
            reader = SessionReader(session, None)
            head = reader.head()
            if head is None:
                raise CommandError(f"There is no session {session}. GET /chat/sessions lists them.")
            try:
                with output.open("xb") if output else nullcontext(sys.stdout.buffer) as target:
                    target.write(file.begin(head))
                    for message in reader.messages():
                        target.write(file.message(message))
                        count += 1
                    target.write(file.end())
            except OSError as error:
                raise CommandError(f"The file cannot be written: {error.strerror}.") from None
        self.stderr.write(f"{counted(count, 'message')} written.")
