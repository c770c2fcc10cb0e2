"""`orchestrator verify_audit`: check the audit chain against the records."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from audit import conf
from audit.verification import SavedHead, Verified, verify
from command_line.arguments import number
from command_line.database import existing_database
from command_line.output import add_json, as_json
from command_line.program import PROGRAM
from orchestrator_site.auditing.records import COVERED
from web.plurals import counted

MAX_NUMBER: Final = 2**63 - 1
HASH: Final = re.compile(r"[0-9a-f]{64}")


class Command(BaseCommand):
    help = (
        "Check the hash chain of the audit, and the records that its entries commit to: executions, keys, users and "
        "groups. Name the first entry that was changed, removed, inserted or moved, and exit with 1. With a number and "
        f"a hash that {PROGRAM} audit_head printed earlier, also notice a removed end. Safe while the service runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="start", type=number(1, MAX_NUMBER), default=1, metavar="N",
            help="check the entries from this number on, and what they commit to, but not all records",
        )  # fmt: skip
        parser.add_argument("--number", type=number(1, MAX_NUMBER), help="the number of a saved head")
        parser.add_argument("--head", type=head_hash, metavar="HASH", help="the hash of a saved head")
        add_json(parser, "the result")

    def handle(self, *, start: int, number: int | None, head: str | None, json: bool, **_: Any) -> None:
        if (number is None) != (head is None):
            raise CommandError("A saved head is its number and its hash. Give both, --number and --head.")
        if not conf.is_kept():
            raise CommandError("ENABLE_PERSISTENCE=false keeps no audit chain.")
        saved = SavedHead(number=number, hash=head) if number is not None and head is not None else None
        with existing_database():
            done = verify(COVERED, start=start, saved=saved, report=self._progress)
        if sys.stderr.isatty():
            self.stderr.write("", ending="\r\x1b[K")
        if json:
            self.stdout.write(as_json(done))
        elif done.problem is None:
            self._print(done)
        if done.problem is not None:
            raise CommandError(f"The audit is broken. {done.problem}")

    def _print(self, done: Verified) -> None:
        head = f"The head is {done.head.number} {done.head.hash}." if done.head.number else "There are none yet."
        self.stdout.write(f"{counted(done.entries, 'entry', 'entries')} are as they were written. {head}")
        for part in done.records:
            before = f", {part.before} of them from before the chain" if part.before else ""
            self.stdout.write(f"{part.name:12} {counted(part.records, 'record')}{before}")
        if done.erased:
            self.stdout.write(f"{counted(done.erased, 'entry', 'entries')} whose content was erased.")

    def _progress(self, what: str, done: int) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{what}: {done:,}", ending="")
            self.stderr.flush()


def head_hash(text: str) -> str:
    """Parse the hash of an entry."""
    if not HASH.fullmatch(text.lower()):
        raise ArgumentTypeError(f"{text[:20]!r} is not a hash of 64 hexadecimal digits")
    return text.lower()
