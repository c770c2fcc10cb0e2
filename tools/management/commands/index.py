"""`orchestrator index`: bring the index of a workspace up to date."""

import time
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from access.caller import OPERATOR
from command_line.output import add_json, as_json
from command_line.program import PROGRAM
from retrieval.base import DocumentError
from spending.accounts import Payer
from tools import resources
from tools.base import ToolError
from tools.retrieval.source import WorkspaceSource
from tools.workspace import Deadline
from web.plurals import counted

PASS_SECONDS: Final = 24 * 3_600.0
WATCH_SECONDS: Final = 2.0
"""Seconds between two passes."""


class Command(BaseCommand):
    help = (
        "Bring the index of a workspace up to date for retrieval.search, and show the progress. Searches do the "
        "same in small steps. Indexes of workspaces that are gone are removed. Safe while the service runs. "
        f"Example: {PROGRAM} index user:1 --watch"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("owner", nargs="?", default=OPERATOR, help="the owner (default: %(default)s)")
        parser.add_argument("--watch", action="store_true", help="continue, with a pass every 2 seconds")
        parser.add_argument("--rebuild", action="store_true", help="make the index again from nothing")
        add_json(parser, "the state of the index")

    def handle(self, *, owner: str, watch: bool, rebuild: bool, json: bool, **_: Any) -> None:
        retrieval = resources.retrieval()
        self._done = 0
        try:
            retrieval.sweep()
            workspace = resources.workspaces().at(owner)
            if rebuild:
                retrieval.forget(workspace.base)
            while True:
                source = WorkspaceSource(workspace, Deadline(PASS_SECONDS))
                retrieval.update(workspace.base, source, self._progress, payer=Payer(owner=owner))
                if not watch:
                    break
                time.sleep(WATCH_SECONDS)
            status = retrieval.status(workspace.base)
        except (DocumentError, ToolError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            return
        if json:
            self.stdout.write(as_json(status))
            return
        totals = status.totals
        self.stdout.write(
            f"{counted(totals.files, 'file')} in {counted(totals.pieces, 'piece')}, {totals.embedded} with vectors; "
            f"{totals.skipped} skipped; {counted(totals.bytes, 'byte')}. {status.missing}".rstrip()
        )

    def _progress(self, count: int) -> None:
        """Show how many files were read or embedded."""
        self._done += count
        if self.stderr.isatty():
            self.stderr.write(f"\r{counted(self._done, 'step')}", ending="")
