"""The taint of a conversation in the rows of its session and its run. Sync functions, each part of a transaction."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from chat.models import Run, Session
from storage.statements import Select, Update
from tools.base import TaintSource

_of_session = Select(Session, "taint", where="id")
_mark_session = Update(Session, names=("taint",), where=("id",))
_mark_run = Update(Run, names=("taint",), where=("id",))


def taint_of_session(session_id: UUID) -> dict[TaintSource, str]:
    """Return the sources of the texts from outside that a session holds, each with the tool that brought the first."""
    rows = _of_session(session_id, 1)
    return msgspec.json.decode(rows[0][0], type=dict[TaintSource, str]) if rows and rows[0][0] else {}


def mark_session(session_id: UUID, taint: Mapping[TaintSource, str]) -> None:
    """Store the taint of a session."""
    _mark_session((taint,), (session_id,))


def mark_run(session_id: UUID, run_id: UUID, taint: Mapping[TaintSource, str]) -> None:
    """Add the taint of a run to that of its session, and store both."""
    # The session may have more: it may have been made by another request of the client that named it.
    merged = {**taint, **taint_of_session(session_id)}
    mark_session(session_id, merged)
    _mark_run((merged,), (run_id,))
