"""The common part of the commands that decide a waiting execution."""

from argparse import ArgumentParser
from typing import Any, ClassVar
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, transaction

from tools.approvals import decisions


def unusable(error: DatabaseError) -> str:
    """Return the message for a database whose tables are missing or out of date."""
    return f"DATABASE_URL names a database that cannot be used: {error}. Set it up with manage.py migrate."


class DecisionCommand(BaseCommand):
    """Decides one execution with its `verdict`."""

    verdict: ClassVar[decisions.Verdict]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=UUID, help="ID of the execution; manage.py list_approvals lists those that wait")
        parser.add_argument("--note", default="", help="a reason, stored with the decision; the model reads it")
        parser.add_argument("--params-sha256", help="decide only if this is the hash of the params")

    def handle(self, *, id: UUID, note: str, params_sha256: str | None, **_: Any) -> None:  # noqa: A002 - the option's name
        try:
            with transaction.atomic():
                row = decisions.decide(id, self.verdict, by="command line", params_sha256=params_sha256, note=note)
        except decisions.DecisionRefused as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(unusable(error)) from None
        self.stdout.write(f"{row.tool} {row.id}: {row.decision}.")
