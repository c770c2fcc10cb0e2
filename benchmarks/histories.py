"""Creates sessions with a history in the service's database, and prints their ids, one a line.

`python -m benchmarks.histories --sessions 10 --messages 1000`, in the service's own environment.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import django
from django.db import connection, transaction
from django.utils import timezone

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator_site.settings")
django.setup()

# Models can be imported only after the setup.
from access.caller import OPERATOR
from chat.models import Message, Run, RunEvent, Session
from storage.ids import new_id

SENTENCE: Final = "This sentence is about as long as the sentences that people and models exchange in ordinary turns. "
WORDS: Final = SENTENCE * 2
FRAMES: Final = b'id: 2\ndata: {"type":"token","token":" w00001"}\n\n' * 20
# Sessions of one transaction. The service runs meanwhile, and SQLite has one writer at a time.
TOGETHER: Final = 200


def make(sessions: int, messages: int) -> Iterator[UUID]:
    """Yield new sessions in which the user and the assistant took turns, in one run."""
    for first in range(0, sessions, TOGETHER):
        pairs = [(new_id(), new_id()) for _ in range(min(TOGETHER, sessions - first))]
        _write(pairs, messages)
        yield from (session for session, _ in pairs)
    if connection.vendor == "sqlite":
        # Otherwise the measured service would have to checkpoint these rows.
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@transaction.atomic
def _write(pairs: Sequence[tuple[UUID, UUID]], messages: int) -> None:
    """Write sessions with these ids, and their runs."""
    now = timezone.now()
    opened: dict[str, Any] = {"owner": OPERATOR, "title": "A history", "created": now, "updated": now}
    ended: dict[str, Any] = {"status": Run.Status.COMPLETED, "created": now, "ended": now}
    streamed: dict[str, Any] = {"first": 1, "last": 20, "frames": FRAMES, "created": now}
    Session.objects.bulk_create(Session(id=session, **opened) for session, _ in pairs)
    Run.objects.bulk_create(Run(id=run, session_id=session, **ended) for session, run in pairs)
    RunEvent.objects.bulk_create(RunEvent(run_id=run, **streamed) for _, run in pairs)
    roles = Message.Role.USER, Message.Role.ASSISTANT
    Message.objects.bulk_create(
        Message(session_id=session, run_id=run, role=roles[number % 2], content=f"{number}: {WORDS}", created=now)
        for session, run in pairs
        for number in range(messages)
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.histories", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--messages", type=int, default=1_000)
    options = parser.parse_args()
    for session in make(options.sessions, options.messages):
        print(session)


if __name__ == "__main__":
    main()
