"""`orchestrator demo`: a week of records in a fresh database, and the scripted tour in the terminal."""

import os
import sys
import time
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from chat.demo import content, planning
from chat.demo.storing import NotFresh, is_fresh, store
from command_line.program import PROGRAM
from web.plurals import counted

SETTINGS: Final = {"DEFAULT_PROVIDER": "demo", "TOOL_POLICY": "ask fs.write"}
QUESTION: Final = "Show me what you can do."
SEED: Final = 1


class Command(BaseCommand):
    help = (
        "Fill a fresh database with a week of a small team, then show a scripted tour in the terminal. The tour has "
        "streaming, tools, an approval, and a change that is undone. It takes a minute, and needs no model and no key. "
        "A database with records is never filled. DEFAULT_PROVIDER=demo shows the tour in a running service."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--only", choices=("week", "tour"), help="do one of both")
        parser.add_argument("--seed", type=int, default=SEED, help="another week, with other times and ids")

    def handle(self, *, only: str | None, seed: int, **_: Any) -> None:
        # The tour makes a session, so it comes second.
        if only == "week" or (only is None and is_fresh()):
            self._fill(seed)
        if only != "week":
            self.stdout.flush()
            # Settings are read when a process starts. Without a person at a terminal, no approval could be given.
            changes = SETTINGS if sys.stdin.isatty() else {**SETTINGS, "TOOL_POLICY": ""}
            command = [sys.executable, sys.argv[0], "chat", QUESTION]
            os.execve(sys.executable, command, {**os.environ, **changes})  # noqa: S606 - no shell is wanted

    def _fill(self, seed: int) -> None:
        began = time.perf_counter()
        try:
            count = store(planning.week(content.load(), seed, timezone.now()))
        except NotFresh as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The week could not be written: {str(error).strip()}") from None
        self.stdout.write(
            f"A week with {counted(count, 'session')} is in the database, after {time.perf_counter() - began:.1f} s. "
            f"See /admin/, after {PROGRAM} createsuperuser. It has keys, so callers need one from now on: "
            f"{PROGRAM} create_api_key NAME"
        )
