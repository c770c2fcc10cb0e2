"""`orchestrator runserver`: daphne's command, over ASGI.

Its app is not installed: it would load Twisted in every process, only for this command.
"""

from argparse import ArgumentTypeError
from typing import Any

from daphne.management.commands import runserver  # type: ignore[import-untyped]  # it ships no types
from django.core.management.base import CommandError

from command_line.arguments import MAX_PORT, number


class Command(runserver.Command):  # type: ignore[misc]
    """Daphne's command, which takes only ports that exist."""

    def run(self, **options: Any) -> None:
        try:
            number(0, MAX_PORT)(self.port)
        except ArgumentTypeError as error:
            raise CommandError(f"The port {error}.") from None
        super().run(**options)
