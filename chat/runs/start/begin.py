"""What is checked and written when a run begins: in one transaction of the writer, or not at all.

SessionMissing        there is no such session for this owner
SessionBusy           the session has an active run already
TooManyRuns           as many runs are active as may be
TooManyOfKey          the caller's API key has as many runs as it may
RunMissing            there is no such run for this owner
NotResumable          the run was not interrupted
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection
from django.utils import timezone

from access.caller import Caller
from chat.engine.messages import UserMessage
from chat.models import Run, Session
from chat.runs.cluster import process
from chat.runs.log import frame_store, message_rows
from chat.runs.start import idempotency
from storage.statements import Insert, Statement

RUNS_LOCK: Final = 0x6F72_6368
"""PostgreSQL's advisory lock of whoever counts all runs before another begins."""

TITLE_LENGTH: Final = 80

_insert_session = Insert(Session, "id", "owner", "user", "title", "metadata", "active_run", "created", "updated")
_insert_run = Insert(
    Run,
    *("id", "session", "key", "status", "reason", "error", "provider", "model", "process"),
    *("options", "metadata", "estimated", "created", "started", "resumed_from"),
)
_lock_key = Statement("SELECT id FROM api_keys WHERE id = %s FOR UPDATE")
_lock_runs = Statement("SELECT pg_advisory_xact_lock(%s)")
_count_all_runs = Statement("SELECT COUNT(*) FROM runs WHERE status = 'running'")
_count_runs = Statement("SELECT COUNT(*) FROM runs WHERE key = %s AND status = 'running'")


class SessionNotFound(Exception):
    """There is no such session for this owner."""


class SessionBusy(Exception):
    """The session has an active run."""

    def __init__(self, run_id: UUID | None) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class TooManyRuns(Exception):
    """`MAX_ACTIVE_RUNS` are active: in this process, or in all together."""


class TooManyRunsForKey(Exception):
    """The key's `most` runs are active already."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class RunNotFound(Exception):
    """There is no such run for this owner."""


class NotResumable(Exception):
    """The run was not interrupted: its status is `status`."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class RunStart(msgspec.Struct, frozen=True, kw_only=True):
    """All that is written before a run starts, if fewer than `max_active_runs` are active in all processes."""

    run_id: UUID
    session_id: UUID
    new_session: bool
    caller: Caller
    user: str
    message: UserMessage | None
    provider: str
    model: str
    options: dict[str, Any]
    metadata: dict[str, Any]
    start_frame: bytes
    key: idempotency.Key | None = None
    resumed_from: UUID | None = None
    max_active_runs: int | None = None

    @property
    def owner(self) -> str:
        return self.caller.owner

    @property
    def is_certain(self) -> bool:
        """Whether nothing that is stored can be a reason not to begin."""
        once = self.key is not None or self.resumed_from is not None
        return self.new_session and not once and self.max_active_runs is None and self.caller.max_runs is None


def begin(beginning: RunStart) -> None:
    """Writes the session (or claims it), the run, the user's message and the first frame.

    Raises as the module says, and `KeyMismatch` and `AlreadyBegun`.
    """
    now = timezone.now()
    _check_new(beginning)
    _check_room(beginning.max_active_runs)
    _check_room_of_key(beginning.caller)
    if beginning.new_session:
        _open_session(beginning, now)
    else:
        _claim_session(beginning, now)
    _insert_run([_run_row(beginning, now)])
    if beginning.key is not None:
        idempotency.keep(beginning.owner, beginning.key, beginning.run_id)
    if beginning.message is not None:
        message_rows.say_user(beginning.session_id, beginning.run_id, beginning.message, now)
    frame_store.save_frames([frame_store.Frames(beginning.run_id, 1, 1, beginning.start_frame)])


def interrupted(run_id: UUID, owner: str) -> Run:
    """The run that another is to go on from, if it was interrupted. Raises `RunNotFound`, `NotResumable`."""
    row = Run.objects.select_related("session").filter(id=run_id, session__owner=owner).first()
    if row is None:
        raise RunNotFound
    if row.status != Run.Status.INTERRUPTED:
        raise NotResumable(row.status)
    return row


def _check_new(beginning: RunStart) -> None:
    """Raises `AlreadyBegun` and `KeyMismatch` for what was asked for before."""
    if beginning.key is not None:
        idempotency.check(beginning.owner, beginning.key)
    if beginning.resumed_from is not None:
        again = Run.objects.filter(resumed_from=beginning.resumed_from).values_list("id", flat=True).first()
        if again is not None:
            raise idempotency.AlreadyBegun(again)


def _check_room(most: int | None) -> None:
    """Raises `TooManyRuns` where all processes together have as many; whoever starts another waits for us."""
    if most is None:
        return
    if connection.features.has_select_for_update:
        _lock_runs(RUNS_LOCK)
    if _count_all_runs()[0][0] >= most:
        raise TooManyRuns


def _check_room_of_key(caller: Caller) -> None:
    """Raise `TooManyRunsForKey` if the key already has all its runs. A second start with the key waits for this one."""
    if caller.key is None or caller.max_runs is None:
        return
    if connection.features.has_select_for_update:
        _lock_key(caller.key)
    if _count_runs(caller.key)[0][0] >= caller.max_runs:
        raise TooManyRunsForKey(caller.max_runs)


def _open_session(beginning: RunStart, now: datetime) -> None:
    title = " ".join(beginning.message.text.split())[:TITLE_LENGTH] if beginning.message else ""
    row: Sequence[Any] = (beginning.session_id, beginning.owner, beginning.user, title, {}, beginning.run_id, now, now)
    _insert_session([row])


def _claim_session(beginning: RunStart, now: datetime) -> None:
    own = Session.objects.filter(id=beginning.session_id, owner=beginning.owner)
    if own.filter(active_run=None).update(active_run=beginning.run_id, updated=now):
        return
    found = own.values_list("active_run", flat=True).first()
    if found is None and not own.exists():
        raise SessionNotFound
    raise SessionBusy(found)


def _run_row(beginning: RunStart, now: datetime) -> Sequence[Any]:
    return (
        *(beginning.run_id, beginning.session_id, beginning.caller.key, Run.Status.RUNNING, "", ""),
        *(beginning.provider, beginning.model),
        *(process.name(), beginning.options, beginning.metadata, False, now, now, beginning.resumed_from),
    )
