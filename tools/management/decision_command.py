"""The common part of the commands that decide a waiting execution."""

from argparse import ArgumentParser
from typing import Any, ClassVar
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from command_line.database import existing_database
from command_line.output import add_json, as_json
from tools.approvals import decisions
from tools.queries import as_dict


class DecisionCommand(BaseCommand):
    """Decides one execution with its `verdict`."""

    verdict: ClassVar[decisions.Verdict]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=UUID, help="ID of the execution; list_approvals lists those that wait")
        parser.add_argument("--note", default="", help="a reason, stored with the decision; the model reads it")
        parser.add_argument("--params-sha256", help="decide only if this is the hash of the params")
        add_json(parser, "the execution")

    def handle(self, *, id: UUID, note: str, params_sha256: str | None, json: bool, **_: Any) -> None:  # noqa: A002 - the option's name
        try:
            with existing_database(), transaction.atomic():
                row = decisions.decide(id, self.verdict, by="command line", params_sha256=params_sha256, note=note)
        except decisions.DecisionRefused as error:
            raise CommandError(str(error)) from None
        self.stdout.write(as_json(as_dict(row)) if json else f"{row.tool} {row.id}: {row.decision}.")
