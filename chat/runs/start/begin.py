"""The beginning of a run: it is checked and written in one transaction of the writer, or not at all.

- `SessionNotFound`: the owner has no such session.
- `SessionBusy`: the session already has an active run.
- `TooManyRuns`: the maximum number of runs is active.
- `TooManyRunsForKey`: the caller's API key has its maximum number of runs.
- `RunNotFound`: the owner has no such run.
- `NotResumable`: the run was not interrupted.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection
from django.utils import timezone

from access.caller import Caller
from chat.engine.messages import Message, UserMessage
from chat.models import Run, Session
from chat.runs.log import frame_store, message_rows, taint_columns
from chat.runs.start import idempotency
from kernel import process
from storage.statements import Insert, Statement
from tools.base import TaintSource

RUNS_LOCK: Final = 0x6F72_6368
"""The PostgreSQL advisory lock that serialises starts while all runs are counted."""

TITLE_LENGTH: Final = 80

_insert_session = Insert(
    Session, "id", "owner", "user", "title", "metadata", "active_run", "taint", "created", "updated"
)
_insert_run = Insert(
    Run,
    "id",
    "session",
    "key",
    "status",
    "reason",
    "error",
    "provider",
    "model",
    "process",
    "options",
    "metadata",
    "estimated",
    "created",
    "started",
    "resumed_from",
    "taint",
)
_find_session = Statement("SELECT id FROM sessions WHERE id = %s AND owner = %s")
_lock_key = Statement("SELECT id FROM api_keys WHERE id = %s FOR UPDATE")
_lock_runs = Statement("SELECT pg_advisory_xact_lock(%s)")
_count_all_runs = Statement("SELECT COUNT(*) FROM runs WHERE status = 'running'")
_count_runs = Statement("SELECT COUNT(*) FROM runs WHERE key = %s AND status = 'running'")


class SessionNotFound(Exception):
    """The owner has no such session."""


class SessionBusy(Exception):
    """The session has an active run, `run_id`."""

    def __init__(self, run_id: UUID | None) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class TooManyRuns(Exception):
    """`MAX_ACTIVE_RUNS` are active, in this process or in all processes together."""


class TooManyRunsForKey(Exception):
    """The key's maximum of `limit` runs is active."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class RunNotFound(Exception):
    """The owner has no such run."""


class NotResumable(Exception):
    """The run was not interrupted: its status is `status`."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class RunStart(msgspec.Struct, frozen=True, kw_only=True):
    """The rows written before a run starts, if fewer than `max_active_runs` are active in all processes.

    A new session with a `named_session` may have been made by another request in the meantime. `taint` has the sources
    of the texts from outside that come with the request.
    """

    run_id: UUID
    session_id: UUID
    new_session: bool
    named_session: bool = False
    caller: Caller
    user: str
    message: UserMessage | None
    earlier: tuple[Message, ...] = ()
    provider: str
    model: str
    options: dict[str, Any]
    metadata: dict[str, Any]
    start_frame: bytes
    key: idempotency.Key | None = None
    resumed_from: UUID | None = None
    taint: Mapping[TaintSource, str] = {}
    max_active_runs: int | None = None

    @property
    def owner(self) -> str:
        return self.caller.owner

    @property
    def is_certain(self) -> bool:
        """True if no stored state can reject the run."""
        once = self.key is not None or self.resumed_from is not None
        return (
            self.new_session
            and not self.named_session
            and not once
            and self.max_active_runs is None
            and self.caller.max_runs is None
        )


def begin(start: RunStart) -> None:
    """Write the session (or claim it), the run, the user's message and the first frame.

    Raise this module's errors, `KeyMismatch` and `AlreadyBegun`.
    """
    now = timezone.now()
    _check_not_begun(start)
    _check_room(start)
    taint = dict(start.taint)
    if start.new_session and not (start.named_session and _find_session(start.session_id, start.owner)):
        title = " ".join(start.message.text.split())[:TITLE_LENGTH] if start.message else ""
        _insert_session([(start.session_id, start.owner, start.user, title, {}, start.run_id, taint or None, now, now)])
    else:
        _claim_session(start, now)
        earlier = taint_columns.taint_of_session(start.session_id)
        if not taint.keys() <= earlier.keys():
            taint_columns.mark_session(start.session_id, {**taint, **earlier})
        taint |= earlier
    _insert_run(
        [
            (
                start.run_id,
                start.session_id,
                start.caller.key,
                Run.Status.RUNNING,
                "",
                "",
                start.provider,
                start.model,
                process.name(),
                start.options,
                start.metadata,
                False,
                now,
                now,
                start.resumed_from,
                taint or None,
            )
        ]
    )
    if start.key is not None:
        idempotency.store(start.owner, start.key, start.run_id)
    for message in start.earlier:
        if isinstance(message, UserMessage):
            message_rows.add_user_message(start.session_id, start.run_id, message, now)
        else:
            message_rows.add_message(start.session_id, start.run_id, message, None, None)
    if start.message is not None:
        message_rows.add_user_message(start.session_id, start.run_id, start.message, now)
    frame_store.save_frames([frame_store.Frames(start.run_id, 1, 1, start.start_frame)])


def interrupted(run_id: UUID, owner: str) -> Run:
    """Return an interrupted run, which another run is to continue. Raise `RunNotFound` and `NotResumable`."""
    row = Run.objects.select_related("session").filter(id=run_id, session__owner=owner).first()
    if row is None:
        raise RunNotFound
    if row.status != Run.Status.INTERRUPTED:
        raise NotResumable(row.status)
    return row


def newest_model(session_id: UUID, owner: str) -> tuple[str | None, str | None]:
    """Return the provider and the model of a session's newest answer, or None for both. Raise `SessionNotFound`."""
    own = Session.objects.filter(id=session_id, owner=owner)
    if not own.exists():
        raise SessionNotFound
    runs = Run.objects.filter(session=session_id).exclude(provider="").order_by("-created")
    return runs.values_list("provider", "model").first() or (None, None)


def _check_not_begun(start: RunStart) -> None:
    if start.key is not None:
        idempotency.check(start.owner, start.key)
    if start.resumed_from is not None:
        resumed = Run.objects.filter(resumed_from=start.resumed_from).values_list("id", flat=True).first()
        if resumed is not None:
            raise idempotency.AlreadyBegun(resumed)


def _check_room(start: RunStart) -> None:
    # The count and the insert must not interleave with another start. SQLite has one writer at a time anyway.
    has_locks = connection.features.has_select_for_update
    if start.max_active_runs is not None:
        if has_locks:
            _lock_runs(RUNS_LOCK)
        if _count_all_runs()[0][0] >= start.max_active_runs:
            raise TooManyRuns
    caller = start.caller
    if caller.key is not None and caller.max_runs is not None:
        if has_locks:
            _lock_key(caller.key)
        if _count_runs(caller.key)[0][0] >= caller.max_runs:
            raise TooManyRunsForKey(caller.max_runs)


def _claim_session(start: RunStart, now: datetime) -> None:
    own = Session.objects.filter(id=start.session_id, owner=start.owner)
    if own.filter(active_run=None).update(active_run=start.run_id, updated=now):
        return
    found = own.values_list("active_run", flat=True).first()
    if found is None and not own.exists():
        raise SessionNotFound
    raise SessionBusy(found)
