"""`orchestrator list_api_keys`: list the keys."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from access.models import ApiKey
from command_line.database import existing_database
from command_line.output import add_json, as_json
from web.plurals import counted


class Command(BaseCommand):
    help = "List the API keys, the newest first, with scopes, limits, expiry and last use."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json(parser, "the keys")

    def handle(self, *, json: bool, **_: Any) -> None:
        with existing_database():
            rows = list(ApiKey.objects.select_related("user"))
        if json:
            self.stdout.write(as_json({"items": [row.as_dict() for row in rows], "count": len(rows)}))
            return
        now = timezone.now()
        for row in rows:
            state = "live"
            if row.revoked:
                state = f"revoked {_day(row.revoked)}"
            elif row.expires:
                state = f"{'expired' if row.expires <= now else 'until'} {_day(row.expires)}"
            self.stdout.write(f"{row.prefix}  {row.name}  {state}")
            limits = [row.rate, counted(row.max_runs, "run") if row.max_runs else "", *row.budgets]
            whose = ascii(row.user.get_username()) if row.user else "its own"
            limits_text = ", ".join(filter(None, limits)) or "no limits"
            self.stdout.write(f"    may {' '.join(row.scopes)}; of {whose}; {limits_text}")
            self.stdout.write(f"    made {_day(row.created)}, last used {_day(row.last_used)}")
        self.stderr.write(f"{counted(len(rows), 'key')}.")


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"
