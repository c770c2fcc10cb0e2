"""`orchestrator import_session`: a session from a file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from access.caller import OPERATOR
from chat.history.transfer.importing import imported
from chat.history.transfer.storing import store_session
from command_line.database import existing_database
from command_line.output import add_json, as_json
from command_line.program import PROGRAM
from web.errors import ApiError
from web.plurals import counted


class Command(BaseCommand):
    help = (
        "Store a session that export_session wrote as JSON Lines, as a new session of an owner. All of it is checked "
        f"before anything is stored. Example: {PROGRAM} import_session chat.jsonl --owner user:7"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="the file")
        parser.add_argument(
            "--owner", default=OPERATOR, metavar="OWNER", help="user:NUMBER, key:ID or operator (default)"
        )
        add_json(parser, "the id of the session")

    def handle(self, *, file: Path, owner: str, json: bool, **_: Any) -> None:
        try:
            found = imported(file.read_bytes())
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
        except ApiError as refusal:
            raise CommandError(f"{file}: {refusal.error}") from None
        with existing_database(), transaction.atomic():
            session_id = store_session(found.head, found.messages, owner, None, {"imported": True})
        if json:
            self.stdout.write(as_json({"session_id": str(session_id), "messages": len(found.messages)}))
        else:
            self.stdout.write(f"Session {session_id}: {counted(len(found.messages), 'message')}.")
