"""`manage.py revoke_api_key`: shuts a key, for ever."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from access.keys import issuing
from access.models import ApiKey
from storage.schema import migrated_database


class Command(BaseCommand):
    help = (
        "Revokes an API key: from now on it opens nothing, and what it holds open ends within seconds. Its row stays, "
        "and so does all that was made with it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the key's name; manage.py list_api_keys lists them")

    def handle(self, *, name: str, **_: Any) -> None:
        with migrated_database():
            row = ApiKey.objects.live(name)
            if row is None:
                known = ApiKey.objects.filter(name=name).exists()
                raise CommandError("It was revoked already." if known else "There is no key of this name.")
            issuing.revoke(row, timezone.now())
        self.stdout.write(f"{row.name} ({row.prefix}...) was revoked.")
