"""The state of all records as a short text, for pages that show what changes."""

import hashlib
from typing import Final

from django.db.models import Max

from audit import chain
from chat.models import Message, Session
from storage.statements import Statement

MAX_OPEN: Final = 1_000
"""Open runs whose status is part of the state. Those beyond still change it when they write a message or end."""

# The conditions are literals: SQLite uses a partial index only for a constant that it sees.
_open_runs = Statement(
    "SELECT id, status FROM runs WHERE status = 'running' UNION ALL "
    "SELECT id, status FROM runs WHERE status = 'waiting' "
    "ORDER BY id LIMIT %s"
)


def cursor() -> str:
    """Return a text that is another one after each change of a run, a message, an execution, a key or a decision."""
    message = Message.objects.aggregate(last=Max("id"))["last"]
    touched = Session.objects.aggregate(last=Max("updated"))["last"]
    # Executions, decisions and keys have entries in the audit chain, so its head stands for all of them.
    state = (chain.head().number, message, touched, _open_runs(MAX_OPEN))
    return hashlib.sha256(repr(state).encode()).hexdigest()[:32]
