"""`orchestrator create_api_key`: create a key and print it once."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from access.keys import issuing
from access.keys.issuing import MAX_RUNS, KeyInvalid
from access.scopes import DEFAULT, TOOLS, WORDS
from command_line.arguments import number
from command_line.database import existing_database
from command_line.output import add_json, as_json
from command_line.program import PROGRAM


class Command(BaseCommand):
    help = (
        "Create an API key and print it on standard output. It is stored only as a hash, and never shown again. From "
        f"the first key on, every caller needs one. Example: {PROGRAM} create_api_key ci --scope chat --scope 'git.*' "
        "--expires 90d --rate 60/minute --budget 10usd/month"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        words = f"{', '.join(WORDS)}, {TOOLS} (every one), or a tool's name or pattern, such as fs.read or git.*"
        default = " ".join(DEFAULT.texts())
        parser.add_argument("name", help="the name of the key in lists and logs")
        parser.add_argument(
            "--scope", action="append", default=[], metavar="SCOPE",
            help=f"a permission: {words}. Repeatable (default: {default})",
        )  # fmt: skip
        parser.add_argument("--expires", default="", metavar="WHEN", help="such as 30d, 12h or 2027-01-31")
        parser.add_argument("--rate", default="", help="requests, such as 60/minute (default: RATE_LIMIT_PER_KEY)")
        parser.add_argument("--max-runs", type=number(1, MAX_RUNS), metavar="N", help="maximum of active runs")
        parser.add_argument(
            "--budget", action="append", default=[], metavar="BUDGET",
            help="a limit, such as 10usd/month or 200000tokens/day. Repeatable",
        )  # fmt: skip
        parser.add_argument(
            "--user", metavar="USERNAME", help="the Django user that owns what the key makes (default: the key itself)"
        )
        add_json(parser, "the key and its limits")

    def handle(self, *, name: str, scope: list[str], user: str | None, json: bool, **options: Any) -> None:
        now = timezone.now()
        try:
            with existing_database():
                user_id = None
                if user is not None:
                    active = get_user_model().objects.filter(username=user, is_active=True)
                    user_id = active.values_list("pk", flat=True).first()
                    if user_id is None:
                        problem = f"No active user has this name. Create one: {PROGRAM} createsuperuser"
                        raise KeyInvalid({"user": problem})
                asked = issuing.validated(
                    now,
                    name=name,
                    words=scope,
                    expires=options["expires"],
                    rate=options["rate"],
                    max_runs=options["max_runs"],
                    budgets=options["budget"],
                    user_id=user_id,
                )
                issued = issuing.issue(asked, now, by="command line")
        except KeyInvalid as error:
            raise CommandError(str(error)) from None
        if json:
            self.stdout.write(as_json(issued.row.as_dict() | {"key": issued.secret}))
            return
        # Standard output has only the key, so that a script can read it.
        self.stdout.write(issued.secret)
        row = issued.row
        self.stderr.write(f"{row.name} may: {' '.join(row.scopes)}. Keep the key now: it is not shown again.")
