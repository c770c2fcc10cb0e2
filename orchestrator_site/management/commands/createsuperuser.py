"""`orchestrator createsuperuser`: Django's command, with the user and its audit entry in one transaction."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.db import connections, transaction


class Command(createsuperuser.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        alias = options["database"]
        with ExitStack() as stack:

            def begin(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
                # Not earlier: SQLite would be locked while a person types a password.
                if sql.startswith("INSERT") and not connections[alias].in_atomic_block:
                    stack.enter_context(transaction.atomic(using=alias))
                return execute(sql, params, many, context)

            with connections[alias].execute_wrapper(begin):
                return super().handle(*args, **options)
