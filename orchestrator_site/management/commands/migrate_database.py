"""`orchestrator migrate_database`: copy everything from SQLite to PostgreSQL.

It can be killed and repeated. The snapshot stays beside the database until all is compared. The target holds, in
`migration_progress`, the last key of each table, committed with the rows up to it. A repetition continues after them.
"""

from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections
from django.utils import timezone

from chat.models import Process, Run
from command_line.program import PROGRAM
from orchestrator_site.environment.variables import Environment, InvalidSetting
from storage.migration import snapshot as snapshots
from storage.migration.copying import compare, copy
from storage.migration.snapshot import Snapshot, SnapshotFailed
from storage.migration.tables import tables
from storage.migration.target import Target, TargetRefused
from storage.schema import migrate
from web.plurals import counted, noun_for

ALIAS: Final = "target"
SQLITE: Final = "django.db.backends.sqlite3"
POSTGRESQL: Final = "django.db.backends.postgresql"
BAR: Final = 32


class Command(BaseCommand):
    help = (
        "Copy the SQLite database of DATABASE_URL to an empty PostgreSQL database. The copy is made from a snapshot "
        "and compared with it: row counts and a digest of each table. Stop the service first, and set DATABASE_URL to "
        "the new database afterwards. After an interruption, run the same command again: it continues. Sessions of the "
        f"console are not copied. Example: {PROGRAM} migrate_database --to postgres://user:password@host/database"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", required=True, metavar="URL", help="the database to fill: postgres://...")
        parser.add_argument("--dry-run", action="store_true", help="check both sides and count, but copy nothing")
        parser.add_argument("--force", action="store_true", help="copy although a service is running on the database")

    def handle(self, *, to: str, dry_run: bool, force: bool, **_: Any) -> None:
        source = _source()
        _open_target(to)
        try:
            if not force:
                _check_no_process_runs()
            target = Target(ALIAS)
            begun = target.token()
            if begun is None and (strangers := target.strangers()):
                raise CommandError(f"The target holds data already, in {', '.join(strangers)}: give an empty database.")
            if dry_run:
                counts = [(table.name, table.model._default_manager.count()) for table in tables()]
                for name, count in counts:
                    self.stdout.write(f"{name:32} {count:>10} {noun_for(count, 'row')}")
                total = sum(count for _, count in counts)
                self.stdout.write(f"{total} {noun_for(total, 'row')} would be copied; nothing was written.")
            else:
                self._move(source.with_name(f"{source.name}.snapshot"), source, target, begun)
        except (SnapshotFailed, TargetRefused) as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"A database could not be used: {str(error).strip()}") from None
        finally:
            connections[ALIAS].close()

    def _move(self, path: Path, source: Path, target: Target, begun: int | None) -> None:
        snapshot = self._snapshot(path, source, begun)
        try:
            order = tables()
            if begun is None:
                migrate(ALIAS)
                _check_same_migrations(snapshot, target)
                target.begin(snapshot.token, order)
            copy(snapshot, target, order, self._report)
            compared = [compare(snapshot, target, table) for table in order]
            for each in compared:
                verdict = (
                    "equal"
                    if each.is_equal
                    else f"DIFFERENT: {each.rows_there} {noun_for(each.rows_there, 'row')}, {each.digest_there}"
                )
                self.stdout.write(
                    f"{each.table:32} {each.rows:>10} {noun_for(each.rows, 'row'):4}  {each.digest}  {verdict}"
                )
            different = [each.table for each in compared if not each.is_equal]
            if different:
                raise CommandError(f"Not the same on both sides: {', '.join(different)}. Do not use the new database.")
            total = sum(each.rows for each in compared)
            self.stdout.write(f"{total} {noun_for(total, 'row')} in {len(compared)} tables are equal.")
            # Only now: until the comparison succeeded, the progress table lets the same command continue.
            target.end(order)
        finally:
            snapshot.close()
        path.unlink()
        self.stdout.write("Set DATABASE_URL to the new database, and start the service.")

    def _snapshot(self, path: Path, source: Path, begun: int | None) -> Snapshot:
        if begun is None:
            path.unlink(missing_ok=True)
            self.stdout.write(f"Taking a snapshot of {source} ...")
            snapshots.take(source, path)
        else:
            self.stdout.write("Continuing the interrupted copy ...")
        snapshot = Snapshot(path)
        if begun not in (None, snapshot.token):
            raise TargetRefused(f"The target was filled from another snapshot than {path}: empty it, and start again.")
        return snapshot

    def _report(self, table: str, done: int, count: int) -> None:
        if self.stdout.isatty():
            filled = BAR * done // max(count, 1)
            bar = f"\r{table:32} [{'#' * filled}{'.' * (BAR - filled)}] {done:,}/{count:,}"
            self.stdout.write(bar, ending="\n" if done >= count else "")
        else:
            self.stdout.write(f"{table}: {done} of {count} {noun_for(count, 'row')}")
        self.stdout.flush()


def _source() -> Path:
    """Return the path of the SQLite database. Raises `CommandError`."""
    configured = settings.DATABASES["default"]
    if configured["ENGINE"] != SQLITE:
        raise CommandError("DATABASE_URL must name the SQLite database to copy from; it names another kind.")
    path = Path(configured["NAME"])
    if not path.is_file():
        raise CommandError(f"There is no database at {path}: DATABASE_URL must name the one to copy from.")
    return path


def _open_target(url: str) -> None:
    """Make the target one of Django's connections. Raises `CommandError`."""
    try:
        configured = Environment({"--to": url}).database("--to", url)
    except InvalidSetting as error:
        raise CommandError(str(error)) from None
    if configured["ENGINE"] != POSTGRESQL:
        raise CommandError("--to must be a PostgreSQL database: postgres://user:password@host:port/name")
    known = {**settings.DATABASES, ALIAS: configured}
    connections.settings = connections.configure_settings(known)
    try:
        connections[ALIAS].ensure_connection()
    except DatabaseError as error:
        raise CommandError(f"--to names a database that cannot be used: {str(error).strip()}") from None


def _check_no_process_runs() -> None:
    """Raise `CommandError` if a service uses the source: its later writes would be lost."""
    now = timezone.now()
    for name, renewed, seconds in Process.objects.values_list("name", "renewed", "lease_seconds"):
        if renewed + timedelta(seconds=seconds) > now:
            raise CommandError(f"The service is running ({name}): stop it first, or give --force and lose its work.")
    count = Run.objects.filter(status=Run.Status.RUNNING).count()
    if count:
        raise CommandError(
            f"{counted(count, 'run is', 'runs are')} open: start and stop the service to end them, or give --force."
        )


def _check_same_migrations(snapshot: Snapshot, target: Target) -> None:
    here, there = snapshot.migrations(), target.migrations()
    if here != there:
        names = ", ".join(sorted(f"{app}.{name}" for app, name in here ^ there))
        raise TargetRefused(f"The source is not as this version wants it ({names}): run {PROGRAM} migrate on it first.")
