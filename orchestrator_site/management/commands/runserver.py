"""`manage.py runserver`: daphne's command, over ASGI.

Its app is not installed: it would load Twisted in every process, only for this command.
"""

from daphne.management.commands.runserver import Command  # type: ignore[import-untyped]  # it ships no types

__all__ = ["Command"]
