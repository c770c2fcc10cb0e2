"""What a run writes to the database. Sync functions, each a part of one transaction of the writer.

SessionMissing        there is no such session for this owner
SessionBusy           the session has an active run already
NotOwner              the run is this process's no more
AlreadyBegun          what is asked for was begun before, by the same key or as the resumption of the same run
KeyMismatch           the key was used with another body
TooManyRuns           as many runs are active as may be
TooManyOfKey          the caller's API key has as many runs as it may
RunMissing            there is no such run for this owner
NotResumable          the run was not interrupted
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from django.db import connection
from django.utils import timezone

from access.callers import Caller
from chat.engine.attempts import Candidate
from chat.engine.events import TotalUsage, Usage
from chat.engine.messages import AssistantMessage, Image, Message, ToolMessage, UserMessage
from chat.models import Attachment, Run, RunEvent, RunKey, Session
from chat.models import Message as MessageRow
from chat.runs import process
from storage.rows import Insert, Locked, Statement, Update
from storage.writer import StorageUnavailable

Result = TypeVar("Result")

RUNS_LOCK: Final = 0x6F72_6368
"""PostgreSQL's advisory lock of whoever counts all runs before another begins."""

TITLE_LENGTH: Final = 80
NOT_OWNER: Final = "Another process took this one for dead, and ended the run."

_insert_session = Insert(Session, "id", "owner", "user", "title", "metadata", "active_run", "created", "updated")
_insert_run = Insert(
    Run,
    *("id", "session", "key", "status", "reason", "error", "provider", "model", "process"),
    *("options", "metadata", "estimated", "created", "started", "resumed_from"),
)
_insert_message = Insert(
    MessageRow,
    *("session", "run", "role", "content", "attachments", "tool_calls", "call_id", "tool", "is_error"),
    *("provider_parts", "provider", "model", "created"),
    *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "estimated"),
)
_insert_frames = Insert(RunEvent, "run", "first", "last", "frames", "created")
_end_run = Update(
    Run,
    names=(
        *("status", "reason", "error", "retryable", "provider", "model", "ended"),
        *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "estimated"),
    ),
    where=("id", "status"),
)
_select_own = Locked(Run, "process", status=Run.Status.RUNNING)
_lock_key = Statement("SELECT id FROM api_keys WHERE id = %s FOR UPDATE")
_lock_runs = Statement("SELECT pg_advisory_xact_lock(%s)")
_count_all_runs = Statement("SELECT COUNT(*) FROM runs WHERE status = 'running'")
_count_runs = Statement("SELECT COUNT(*) FROM runs WHERE key = %s AND status = 'running'")
_free_session = Update(Session, names=("active_run",), where=("id", "active_run"))


class SessionMissing(Exception):
    """There is no such session for this owner."""


class RunMissing(Exception):
    """There is no such run for this owner."""


class NotResumable(Exception):
    """The run was not interrupted: its status is `status`."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class KeyMismatch(Exception):
    """The `Idempotency-Key` was used with another body."""


class TooManyRuns(Exception):
    """`MAX_ACTIVE_RUNS` are active: in this process, or in all together."""


class TooManyOfKey(Exception):
    """The key's `most` runs are active already."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class AlreadyBegun(Exception):
    """What is asked for has begun before, as run `run_id`."""

    def __init__(self, run_id: UUID) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class NotOwner(StorageUnavailable):
    """The run is this process's no more: another has ended it, taking this one for dead. Nothing was written."""


class SessionBusy(Exception):
    """The session has an active run."""

    def __init__(self, run_id: UUID | None) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An `Idempotency-Key`, and the hash of the body that it came with."""

    key: str
    body_sha256: str


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """All that is written before a run starts, if fewer than `most_runs` are active in all processes."""

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
    key: Key | None = None
    resumed_from: UUID | None = None
    most_runs: int | None = None

    @property
    def owner(self) -> str:
        return self.caller.owner


class Frames(msgspec.Struct, frozen=True):
    """Consecutive frames of one run."""

    run_id: UUID
    first: int
    last: int
    frames: bytes


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run has ended."""

    run_id: UUID
    session_id: UUID
    status: Run.Status
    reason: str
    error: str
    retryable: bool
    provider: str
    model: str
    usage: TotalUsage


def begin(beginning: Beginning) -> None:
    """Writes the session (or claims it), the run, the user's message and the first frame. Raises as the module says."""
    now = timezone.now()
    _check_new(beginning)
    _check_room(beginning.most_runs)
    _check_room_of_key(beginning.caller)
    if beginning.new_session:
        _open_session(beginning, now)
    else:
        _claim_session(beginning, now)
    _insert_run([_run_row(beginning, now)])
    if beginning.key is not None:
        RunKey.objects.create(owner=beginning.owner, run_id=beginning.run_id, **msgspec.structs.asdict(beginning.key))
    if beginning.message is not None:
        _say_user(beginning, beginning.message, now)
    keep_frames([Frames(beginning.run_id, 1, 1, beginning.start_frame)])


def interrupted(run_id: UUID, owner: str) -> Run:
    """The run, if it was interrupted. Raises `RunMissing`, `NotResumable`."""
    row = Run.objects.select_related("session").filter(id=run_id, session__owner=owner).first()
    if row is None:
        raise RunMissing
    if row.status != Run.Status.INTERRUPTED:
        raise NotResumable(row.status)
    return row


def _check_new(beginning: Beginning) -> None:
    """Raises `AlreadyBegun` and `KeyMismatch` for what was asked for before."""
    if beginning.key is not None:
        known = RunKey.objects.filter(owner=beginning.owner, key=beginning.key.key).first()
        if known is not None and known.body_sha256 != beginning.key.body_sha256:
            raise KeyMismatch
        if known is not None:
            raise AlreadyBegun(known.run_id)
    if beginning.resumed_from is not None:
        again = Run.objects.filter(resumed_from=beginning.resumed_from).values_list("id", flat=True).first()
        if again is not None:
            raise AlreadyBegun(again)


def _check_room(most: int | None) -> None:
    """Raises `TooManyRuns` where all processes together have as many; whoever starts another waits for us."""
    if most is None:
        return
    if connection.features.has_select_for_update:
        _lock_runs(RUNS_LOCK)
    if _count_all_runs()[0][0] >= most:
        raise TooManyRuns


def _check_room_of_key(caller: Caller) -> None:
    """Raises `TooManyOfKey` where the caller's key has all its runs already; whoever starts another waits for us."""
    if caller.key is None or caller.max_runs is None:
        return
    if connection.features.has_select_for_update:
        _lock_key(caller.key)
    if _count_runs(caller.key)[0][0] >= caller.max_runs:
        raise TooManyOfKey(caller.max_runs)


def keep(batches: Sequence[Frames], records: Sequence[tuple[UUID, Callable[[], None]]]) -> frozenset[UUID]:
    """Writes a batch of the journal: frames of many runs, and the rows that belong to them, in their order.

    Returns the runs of which nothing was written, because they are this process's no more.
    """
    runs = {batch.run_id for batch in batches} | {run_id for run_id, _ in records}
    own = _own(runs)
    keep_frames([batch for batch in batches if batch.run_id in own])
    for run_id, record in records:
        if run_id in own:
            record()
    return frozenset(runs - own)


def of_own_run(run_id: UUID, job: Callable[[], Result]) -> Result:
    """The job's result, where the run is this process's. Raises `NotOwner`."""
    if not _own({run_id}):
        raise NotOwner(NOT_OWNER)
    return job()


def _own(runs: Collection[UUID]) -> set[UUID]:
    """Those of the runs that this process owns; nobody takes one away before the transaction ends."""
    return _select_own(runs, process.name())


def keep_frames(batches: Iterable[Frames]) -> None:
    now = timezone.now()
    _insert_frames((batch.run_id, batch.first, batch.last, batch.frames, now) for batch in batches)


def say(session_id: UUID, run_id: UUID, message: Message, candidate: Candidate | None, usage: Usage | None) -> None:
    """Adds one message to the conversation."""
    _insert_message([_message_row((session_id, run_id), message, candidate, usage, timezone.now())])


def finish(ending: Ending) -> None:
    """Ends the run, if it is still open, and frees its session."""
    now = timezone.now()
    usage = ending.usage
    why = (ending.status, ending.reason, ending.error, ending.retryable)
    told = (*why, ending.provider, ending.model, now)
    tokens = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens)
    _end_run.later((*told, *tokens, _money(usage.cost_usd), usage.estimated), (ending.run_id, Run.Status.RUNNING))
    _free_session.later((None,), (ending.session_id, ending.run_id))


def _open_session(beginning: Beginning, now: datetime) -> None:
    title = " ".join(beginning.message.text.split())[:TITLE_LENGTH] if beginning.message else ""
    row: Sequence[Any] = (beginning.session_id, beginning.owner, beginning.user, title, {}, beginning.run_id, now, now)
    _insert_session([row])


def _claim_session(beginning: Beginning, now: datetime) -> None:
    own = Session.objects.filter(id=beginning.session_id, owner=beginning.owner)
    if own.filter(active_run=None).update(active_run=beginning.run_id, updated=now):
        return
    found = own.values_list("active_run", flat=True).first()
    if found is None and not own.exists():
        raise SessionMissing
    raise SessionBusy(found)


def _run_row(beginning: Beginning, now: datetime) -> Sequence[Any]:
    return (
        *(beginning.run_id, beginning.session_id, beginning.caller.key, Run.Status.RUNNING, "", ""),
        *(beginning.provider, beginning.model),
        *(process.name(), beginning.options, beginning.metadata, False, now, now, beginning.resumed_from),
    )


def _say_user(beginning: Beginning, message: UserMessage, now: datetime) -> None:
    if not message.images:
        _insert_message([_message_row((beginning.session_id, beginning.run_id), message, None, None, now)])
        return
    row = MessageRow(
        session_id=beginning.session_id,
        run_id=beginning.run_id,
        role=MessageRow.Role.USER,
        content=message.text,
        attachments=len(message.images),
        created=now,
    )
    row.save(force_insert=True)
    Attachment.objects.bulk_create([_attachment(row, image) for image in message.images])


def _attachment(row: MessageRow, image: Image) -> Attachment:
    return Attachment(message=row, media_type=image.media_type, data=image.data)


def _message_row(
    where: tuple[UUID, UUID], message: Message, candidate: Candidate | None, usage: Usage | None, now: datetime
) -> Sequence[Any]:
    said = _said(message)
    wrote = (candidate.provider.name, candidate.model) if candidate else ("", "")
    if usage is None:
        return (*where, *said, *wrote, now, None, None, None, None, None, False)
    tokens = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens)
    return (*where, *said, *wrote, now, *tokens, _money(usage.cost_usd), usage.estimated)


def _said(message: Message) -> Sequence[Any]:
    """role, content, attachments, tool_calls, call_id, tool, is_error, provider_parts"""
    if isinstance(message, UserMessage):
        return ("user", message.text, 0, None, "", "", False, None)
    if isinstance(message, ToolMessage):
        return ("tool", message.content, 0, None, message.call_id, message.name, message.is_error, None)
    calls = msgspec.to_builtins(message.tool_calls) or None
    return ("assistant", message.text, 0, calls, "", "", False, _parts(message))


def _parts(message: AssistantMessage) -> Any:
    return msgspec.to_builtins(message.provider_parts) if message.provider_parts else None


def _money(cost: float | None) -> Decimal | None:
    return None if cost is None else Decimal(repr(cost)).quantize(Decimal("1e-10"))
