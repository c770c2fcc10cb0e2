"""`manage.py database_size`: what takes the room, and how fast it grows."""

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
"""Runs that the growth is measured on."""


class Command(BaseCommand):
    help = (
        "Prints rows and bytes of each table, when the oldest and the newest row were made, files and bytes of stored "
        "outputs, how much of those no row tells of so that prune takes it, and what the newest "
        f"{NEWEST:,} turns have added, each on average: what to expect of the next. Example: manage.py database_size"
    )

    def handle(self, **_: Any) -> None:
        try:
            self._tell_tables()
            self._tell_outputs()
            self._tell_growth()
        except DatabaseError as error:
            raise CommandError(f"The database could not be used: {str(error).strip()}") from None
        except OSError as error:
            raise CommandError(f"The stored outputs could not be looked at: {error}") from None

    def _tell_tables(self) -> None:
        for size in sizes():
            ends = f"{size.oldest:%Y-%m-%d %H:%M} - {size.newest:%Y-%m-%d %H:%M}" if size.oldest else ""
            self.stdout.write(f"{size.table:28} {size.rows:>10} rows {size.bytes:>15,} bytes  {ends}".rstrip())
        self.stdout.write(f"{'all':28} {'':>15} {total():>15,} bytes")

    def _tell_outputs(self) -> None:
        outputs = assembly.outputs()
        self._tell_files("stored outputs", outputs.kept())
        self._tell_files(STRAYS, strays(timezone.now() - STRAY_AFTER, outputs))

    def _tell_files(self, name: str, files: Iterable[Kept]) -> None:
        sizes_of = [file.size for file in files]
        self.stdout.write(f"{name:28} {len(sizes_of):>10} files {sum(sizes_of):>14,} bytes")

    def _tell_growth(self) -> None:
        newest = list(Run.objects.order_by("-id").values_list("pk", flat=True)[:NEWEST])
        if not newest:
            self.stdout.write("There is no turn yet to measure the growth on.")
            return
        turns = len(newest)
        events = RunEvent.objects.filter(run__in=newest).aggregate(
            rows=Count("pk"), size=Coalesce(Sum(Length("frames")), 0)
        )
        said = Message.objects.filter(run__in=newest).aggregate(
            rows=Count("pk"), size=Coalesce(Sum(Length("content")), 0)
        )
        tokens = Run.objects.filter(pk__in=newest).aggregate(tokens=Avg("output_tokens"))["tokens"] or 0
        self.stdout.write(
            f"A turn adds, on average of the newest {turns}: {events['size'] / turns:,.0f} bytes of frames in "
            f"{events['rows'] / turns:.1f} rows, {said['size'] / turns:,.0f} characters in {said['rows'] / turns:.1f} "
            f"messages; it has {tokens:.0f} tokens of output."
        )
