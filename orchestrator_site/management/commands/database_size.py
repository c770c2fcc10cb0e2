"""`manage.py database_size`: what uses the space, and how fast it grows."""

from collections.abc import Iterable
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import Avg, Count, Sum
from django.db.models.functions import Coalesce, Length
from django.utils import timezone

from chat.models import Message, Run, RunEvent
from orchestrator_site.retention import STRAY_AFTER, STRAYS, strays
from storage.table_sizes import sizes, total
from tools import assembly
from tools.output.store import Kept

NEWEST: Final = 1_000
"""Number of newest runs from which the growth is measured."""


class Command(BaseCommand):
    help = (
        "Print the rows and bytes of each table, with the age of its oldest and newest row. Print the stored outputs, "
        "and those without a row, which prune removes. Print what a turn adds, on average of the newest "
        f"{NEWEST:,} turns. Example: manage.py database_size"
    )

    def handle(self, **_: Any) -> None:
        try:
            for size in sizes():
                ends = f"{size.oldest:%Y-%m-%d %H:%M} - {size.newest:%Y-%m-%d %H:%M}" if size.oldest else ""
                self.stdout.write(f"{size.table:28} {size.rows:>10} rows {size.bytes:>15,} bytes  {ends}".rstrip())
            self.stdout.write(f"{'all':28} {'':>15} {total():>15,} bytes")
            outputs = assembly.outputs()
            self._print_files("stored outputs", outputs.kept())
            self._print_files(STRAYS, strays(timezone.now() - STRAY_AFTER, outputs))
            self._print_growth()
        except DatabaseError as error:
            raise CommandError(f"The database could not be used: {str(error).strip()}") from None
        except OSError as error:
            raise CommandError(f"The stored outputs could not be looked at: {error}") from None

    def _print_files(self, name: str, files: Iterable[Kept]) -> None:
        sizes_of = [file.size for file in files]
        self.stdout.write(f"{name:28} {len(sizes_of):>10} files {sum(sizes_of):>14,} bytes")

    def _print_growth(self) -> None:
        newest = list(Run.objects.order_by("-id").values_list("pk", flat=True)[:NEWEST])
        if not newest:
            self.stdout.write("No turns yet: the growth cannot be measured.")
            return
        turns = len(newest)
        events = RunEvent.objects.filter(run__in=newest).aggregate(
            rows=Count("pk"), size=Coalesce(Sum(Length("frames")), 0)
        )
        messages = Message.objects.filter(run__in=newest).aggregate(
            rows=Count("pk"), size=Coalesce(Sum(Length("content")), 0)
        )
        tokens = Run.objects.filter(pk__in=newest).aggregate(tokens=Avg("output_tokens"))["tokens"] or 0
        self.stdout.write(
            f"Average of the newest {turns} turns: {events['size'] / turns:,.0f} bytes of frames in "
            f"{events['rows'] / turns:.1f} rows, {messages['size'] / turns:,.0f} characters in "
            f"{messages['rows'] / turns:.1f} messages; it has {tokens:.0f} tokens of output."
        )
