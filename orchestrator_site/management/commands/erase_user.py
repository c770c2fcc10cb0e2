"""`orchestrator erase_user`: erase the texts and files of an owner."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from command_line.database import existing_database
from command_line.output import add_json, as_json
from command_line.program import PROGRAM
from orchestrator_site.auditing import erasure
from orchestrator_site.auditing.erasure import Erased, ErasureRefused
from retrieval.base import DocumentError

OWNER: Final = re.compile(r"user:[0-9]{1,18}|key:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|operator", re.ASCII)


class Command(BaseCommand):
    help = (
        "Erase the conversations, params, results, outputs, notes, recordings, files and names of an owner, and revoke "
        "its keys. Numbers, times and the audit chain stay, and verify_audit reports the contents as erased. Example: "
        f"{PROGRAM} erase_user user:7 --dry-run"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("owner", type=owner_name, metavar="OWNER", help="user:NUMBER, key:ID or operator")
        parser.add_argument("--dry-run", action="store_true", help="only count what would be erased")
        parser.add_argument("--yes", action="store_true", help="do not ask for a confirmation")
        add_json(parser, "the counts")

    def handle(self, *, owner: str, dry_run: bool, yes: bool, json: bool, **_: Any) -> None:
        try:
            with existing_database():
                done = erasure.count(owner)
                if not dry_run:
                    self._confirm(owner, done, yes=yes)
                    done = list(erasure.erase(owner))
                    if connection.vendor == "sqlite":
                        with connection.cursor() as cursor:
                            # The log has the texts too, until it is written over.
                            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (ErasureRefused, DocumentError) as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"A file could not be removed: {error}. Run the command again.") from None
        if json:
            self.stdout.write(as_json({"owner": owner, "erased": not dry_run, "parts": done}))
            return
        for part in done:
            self.stdout.write(f"{part.name:20} {part.count:>10,}")
        self.stdout.write(f"{owner} would be erased. Leave out --dry-run." if dry_run else f"{owner} was erased.")

    def _confirm(self, owner: str, found: list[Erased], *, yes: bool) -> None:
        if yes:
            return
        if not sys.stdin.isatty():
            raise CommandError("Nothing was erased. Add --yes, because there is no terminal to ask for a confirmation.")
        parts = ", ".join(f"{part.count:,} {part.name}" for part in found)
        if input(f"This erases {owner}: {parts}. It cannot be undone. Type the owner to confirm: ").strip() != owner:
            raise CommandError("Nothing was erased: the confirmation is not the owner.")


def owner_name(text: str) -> str:
    """Parse the name of an owner."""
    if not OWNER.fullmatch(text):
        raise ArgumentTypeError(f"{text[:80]!r} is not an owner. Give user:NUMBER, key:ID or operator")
    return text
