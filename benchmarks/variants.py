"""The service with one change for a measure: `python -m benchmarks.variants unjournaled serve --port 8011`.

The arguments after the variant's name are for `manage.py`. The product has no switch for any of this.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

import django
from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator_site.settings")
django.setup()

# The service's modules read the settings when they are imported.
from audit import chain
from benchmarks.harness.contestants import TASKS
from chat.runs.log import frame_store, journals
from chat.runs.log.journal import Batch
from orchestrator_site.http.app import Application
from orchestrator_site.http.asgi_types import Receive, Scope, Send
from storage.writer import writer


def unjournaled() -> AbstractContextManager[Any]:
    """Store no frame except a run's first, which commits with the run. Messages and ends are stored as usual."""

    async def only_records(batch: Batch) -> Collection[UUID]:
        if not batch.records:
            return ()
        return await writer.write(partial(frame_store.save_batch, (), batch.records))

    return patch.object(journals, "commit", only_records)


def unaudited() -> AbstractContextManager[Any]:
    """Keep no audit chain."""
    return patch.object(chain, "record", lambda *changes: None)


def counted() -> AbstractContextManager[Any]:
    """Add a path that returns the number of the event loop's tasks."""
    serve = Application.__call__

    async def answer(self: Application, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == TASKS:
            body = json.dumps(len(asyncio.all_tasks())).encode()
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        else:
            await serve(self, scope, receive, send)

    return patch.object(Application, "__call__", answer)


VARIANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Any]]]] = {
    "unjournaled": unjournaled,
    "unaudited": unaudited,
    "counted": counted,
}


def main() -> None:
    name, *arguments = sys.argv[1:]
    with VARIANTS[name]():
        execute_from_command_line(["manage.py", *arguments])


if __name__ == "__main__":
    main()
