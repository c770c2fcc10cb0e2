"""Makes sessions with a long history in the service's database, and prints their ids, one a line.

`python -m benchmarks.histories --sessions 10 --messages 1000`, in the service's own environment.
"""

import argparse
import os
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import django
from django.utils import timezone

if TYPE_CHECKING:
    from chat.models import Message

SENTENCE = "What was said here is as long as what people and models say to each other on most of their turns. "
WORDS = SENTENCE * 2


def make(messages: int) -> UUID:
    """A session in which the user and the assistant have taken turns."""
    from access.callers import OPERATOR  # noqa: PLC0415 - Django must be set up before its models load
    from chat.models import Message, Run, Session  # noqa: PLC0415

    now = timezone.now()
    session = Session.objects.create(id=uuid4(), owner=OPERATOR, title="A long history", created=now, updated=now)
    run = Run.objects.create(id=uuid4(), session=session, status=Run.Status.COMPLETED, created=now, ended=now)
    Message.objects.bulk_create(said(run.id, session.id, number, now) for number in range(messages))
    return session.id


def said(run_id: UUID, session_id: UUID, number: int, now: datetime) -> "Message":
    from chat.models import Message  # noqa: PLC0415

    role = Message.Role.ASSISTANT if number % 2 else Message.Role.USER
    return Message(session_id=session_id, run_id=run_id, role=role, content=f"{number}: {WORDS}", created=now)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.histories", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--messages", type=int, default=1_000)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator_site.settings")
    django.setup()
    for _ in range(options.sessions):
        print(make(options.messages))


if __name__ == "__main__":
    main()
