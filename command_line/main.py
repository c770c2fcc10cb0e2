"""The entry of the command line, for `bin/orchestrator` and `manage.py`."""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import BaseCommand, ManagementUtility
from django.db import DEFAULT_DB_ALIAS, DatabaseError
from django.db.backends.signals import connection_created

from command_line.arguments import number
from command_line.database import ExistingFile, described, existing_database, explained

CREATING: Final = frozenset({"serve", "migrate", "runserver", "test", "testserver"})
"""The commands that may create a database. To others a missing one is an error, because no service uses it."""

SERVING: Final = frozenset({"serve", "runserver", "testserver"})
"""The commands whose output is their log. Others print lines for people, between which a log would be in the way."""

ADVICE: Final = ("chat.W001", "speech.W001")
"""System checks about the future, which only `check` reports: at each start they would hide present problems."""

ENV_FILE_HELP: Final = "read the settings from this file (default: the variable ENV_FILE, or .env beside manage.py)"


MAX_NUMBER: Final = 2**31 - 1
"""The bound of numbers for which a command, such as one of Django's, names none."""


class CommandLine(ManagementUtility):
    """Django's command line, with `--env-file` in every command's help."""

    def main_help_text(self, commands_only: bool = False) -> str:
        text = super().main_help_text(commands_only)
        return text if commands_only else f"{text}\n\nEvery command takes --env-file PATH: {ENV_FILE_HELP}."

    def fetch_command(self, subcommand: str) -> BaseCommand:
        command = super().fetch_command(subcommand)
        add_arguments = command.add_arguments

        def add_all(parser: Any) -> None:
            add_arguments(parser)
            # `main` has read it before. It is declared for the help.
            parser.add_argument("--env-file", metavar="PATH", help=ENV_FILE_HELP)
            for action in parser._actions:
                if action.type is int:
                    action.type = number(0, MAX_NUMBER)

        command.add_arguments = add_all  # type: ignore[method-assign]
        if subcommand not in CREATING:
            command.check_migrations = check_migrations  # type: ignore[method-assign]
        restrict(subcommand)
        if "--worker" not in self.argv:
            connection_created.connect(announce)
        return command


def main(arguments: list[str] | None = None) -> None:
    """Run a command of `sys.argv`, or of `arguments`."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator_site.settings")
    parser = argparse.ArgumentParser(prog="orchestrator", add_help=False, allow_abbrev=False)
    parser.add_argument("--env-file", type=Path)
    options, rest = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)
    if options.env_file is not None:
        # Unlike a path in a setting, an argument is relative to the folder in which the command was given.
        os.environ["ENV_FILE"] = str(options.env_file.absolute())
    if sys.stderr.isatty() and not SERVING.intersection(rest[:1]):
        os.environ.setdefault("LOG_FORMAT", "text")
    try:
        CommandLine(["orchestrator", *rest]).execute()
    except ImproperlyConfigured as error:
        sys.exit(f"Error: {error}")
    except DatabaseError as error:
        if "--traceback" in rest:
            raise
        sys.exit(f"Error: {explained(error)}")


def restrict(command: str) -> None:
    """Change the settings for one command: what it reports and logs, and whether it may create a database."""
    if command != "check":
        settings.SILENCED_SYSTEM_CHECKS = [*settings.SILENCED_SYSTEM_CHECKS, *ADVICE]
    options = dict(settings.DATABASES["default"]["OPTIONS"])
    if command not in SERVING:
        logging.getLogger().setLevel(max(logging.WARNING, logging.getLogger().level))
        # A pool would log each attempt to connect, and report a timeout instead of the reason.
        options.pop("pool", None)
    if command not in CREATING and settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        options["factory"] = ExistingFile
    settings.DATABASES["default"]["OPTIONS"] = options


def check_migrations() -> None:
    """Check the database for a command of Django, which would name a program that may not be there."""
    with existing_database():
        pass


def announce(connection: Any, **_: Any) -> None:
    """Name the database of this process on standard error, when it is first opened."""
    if connection.alias == DEFAULT_DB_ALIAS and connection_created.disconnect(announce):
        sys.stderr.write(f"Database: {described(connection.settings_dict)}\n")
