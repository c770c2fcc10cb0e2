"""`orchestrator revoke_api_key`: revoke a key permanently."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from access.keys import issuing
from access.models import ApiKey
from command_line.database import existing_database
from command_line.output import add_json, as_json


class Command(BaseCommand):
    help = (
        "Revoke an API key permanently. It is rejected at once, and its open streams end within seconds. Its record "
        "and everything made with it stay."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the key's name; list_api_keys lists them")
        add_json(parser, "the key")

    def handle(self, *, name: str, json: bool, **_: Any) -> None:
        with existing_database():
            row = ApiKey.objects.live(name)
            if row is None:
                known = ApiKey.objects.filter(name=name).exists()
                raise CommandError("The key was revoked before." if known else "No key has this name.")
            issuing.revoke(row, timezone.now(), by="command line")
        if json:
            row.refresh_from_db()
            self.stdout.write(as_json(row.as_dict()))
            return
        self.stdout.write(f"{row.name} ({row.prefix}...) was revoked.")
