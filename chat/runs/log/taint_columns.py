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
    """Store the taint of a run, which is that of its session from now on."""
    mark_session(session_id, taint)
    _mark_run((taint,), (run_id,))
