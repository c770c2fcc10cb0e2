"""`manage.py revoke_api_key`: revoke a key permanently."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from access.keys import issuing
from access.models import ApiKey
from storage.schema import migrated_database


class Command(BaseCommand):
    help = (
        "Revoke an API key permanently. It is rejected at once, and its open streams end within seconds. Its record "
        "and everything made with it stay."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the key's name; manage.py list_api_keys lists them")

    def handle(self, *, name: str, **_: Any) -> None:
        with migrated_database():
            row = ApiKey.objects.live(name)
            if row is None:
                known = ApiKey.objects.filter(name=name).exists()
                raise CommandError("The key was revoked before." if known else "No key has this name.")
            issuing.revoke(row, timezone.now())
        self.stdout.write(f"{row.name} ({row.prefix}...) was revoked.")
