"""`orchestrator database_size`: the use of space, and its growth."""

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Avg, Count, Sum
from django.db.models.functions import Coalesce, Length
from django.utils import timezone

from chat.models import Message, Run, RunEvent
from command_line.database import existing_database
from command_line.output import add_json, as_json
from command_line.program import PROGRAM
from orchestrator_site.retention import STRAY_AFTER, STRAYS, strays
from storage.table_sizes import Size, sizes, total
from tools import resources
from tools.output.store import Kept
from web.plurals import counted, noun_for

NEWEST: Final = 1_000
"""Number of newest runs from which the growth is measured."""


class Command(BaseCommand):
    help = (
        "Print the rows and bytes of each table, with the age of its oldest and newest row. Print the stored outputs, "
        "and those without a row, which prune removes. Print what a turn adds, on average of the newest "
        f"{NEWEST:,} turns. Example: {PROGRAM} database_size"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json(parser, "the sizes and the averages")

    def handle(self, *, json: bool, **_: Any) -> None:
        try:
            with existing_database():
                tables, whole = sizes(), total()
                outputs = resources.outputs()
                files = {
                    "stored outputs": _summed(outputs.kept()),
                    STRAYS: _summed(strays(timezone.now() - STRAY_AFTER, outputs)),
                }
                growth = _growth()
        except OSError as error:
            raise CommandError(f"The stored outputs could not be looked at: {error}") from None
        if json:
            outputs_of = {name: {"files": count, "bytes": size} for name, (count, size) in files.items()}
            self.stdout.write(as_json({"tables": tables, "bytes": whole, "outputs": outputs_of, "turns": growth}))
            return
        self._print_tables(tables, whole)
        for name, (count, size) in files.items():
            self.stdout.write(f"{name:28} {count:>10} {noun_for(count, 'file'):5} {size:>14,} bytes")
        self._print_growth(growth)

    def _print_tables(self, tables: Iterable[Size], whole: int) -> None:
        for size in tables:
            ends = f"{size.oldest:%Y-%m-%d %H:%M} - {size.newest:%Y-%m-%d %H:%M}" if size.oldest else ""
            rows = f"{size.rows:>10} {noun_for(size.rows, 'row'):4}"
            self.stdout.write(f"{size.table:28} {rows} {size.bytes:>15,} bytes  {ends}".rstrip())
        self.stdout.write(f"{'all':28} {'':>15} {whole:>15,} bytes")

    def _print_growth(self, growth: dict[str, float]) -> None:
        if not growth["measured"]:
            self.stdout.write("No turns yet: the growth cannot be measured.")
            return
        newest = "turn" if growth["measured"] == 1 else f"{growth['measured']} turns"
        self.stdout.write(
            f"Average of the newest {newest}: {growth['frame_bytes']:,.0f} bytes of frames in "
            f"{growth['frame_rows']:.1f} rows, {growth['message_characters']:,.0f} characters in "
            f"{growth['messages']:.1f} messages; it has {counted(round(growth['output_tokens']), 'token')} of output."
        )


def _summed(files: Iterable[Kept]) -> tuple[int, int]:
    """Return the number of files and of their bytes."""
    sizes_of = [file.size for file in files]
    return len(sizes_of), sum(sizes_of)


def _growth() -> dict[str, float]:
    """Return what the newest turns added on average, and the number of those that were measured."""
    newest = list(Run.objects.order_by("-id").values_list("pk", flat=True)[:NEWEST])
    turns = max(1, len(newest))
    events = RunEvent.objects.filter(run__in=newest).aggregate(
        rows=Count("pk"), size=Coalesce(Sum(Length("frames")), 0)
    )
    messages = Message.objects.filter(run__in=newest).aggregate(
        rows=Count("pk"), size=Coalesce(Sum(Length("content")), 0)
    )
    tokens = Run.objects.filter(pk__in=newest).aggregate(tokens=Avg("output_tokens"))["tokens"] or 0
    return {
        "measured": len(newest),
        "frame_bytes": events["size"] / turns,
        "frame_rows": events["rows"] / turns,
        "message_characters": messages["size"] / turns,
        "messages": messages["rows"] / turns,
        "output_tokens": float(tokens),
    }
