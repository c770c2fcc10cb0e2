"""Erasure of an owner's texts and files. Numbers, times and the audit chain stay, and the chain stays valid.

Everything is removed in short transactions, each with its audit entries. After a crash, the next erasure continues.

ErasureRefused        the owner still has work under way
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from access.keys import entries as key_entries
from access.keys import issuing
from access.models import ApiKey
from audit import chain
from audit.chain import Change
from audit.chain_check import ERASURE
from audit.models import AuditEntry
from chat.history import queries
from chat.models import Run, Session
from chat.searched import INDEXES
from speech.models import SpeechRequest
from storage.search.migration import optimize
from tools import resources
from tools.execution import entries as execution_entries
from tools.models import McpAuthorization, McpToken, ToolExecution
from tools.workspaces.scope import ROOT, owner_folder, session_folder

ROWS_AT_ONCE: Final = 200
ERASED: Final = "erased"
"""The text in the place of a name."""

BLANK: Final[dict[str, Any]] = {
    "params": {}, "data": None, "output": "", "error": "", "note": "", "call_id": "",
    # The hash of a short text can be guessed.
    "params_sha256": "", "output_sha256": "", "result_sha256": "",
}  # fmt: skip
SPEECH_BLANK: Final[dict[str, Any]] = {
    "audio": None, "error": "", "note": "", "audio_sha256": "", "text_sha256": "",
}  # fmt: skip


class ErasureRefused(Exception):
    """The owner has open runs, executions or calls of speech."""


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """The number of erased things of one kind."""

    name: str
    count: int


def count(owner: str) -> list[Erased]:
    """Return what would be erased."""
    sizes = [resources.outputs().size(owner, key) for key in _all_executions(owner)]
    return [
        Erased(name="sessions", count=Session.objects.filter(owner=owner).count()),
        Erased(name="executions", count=_executions(owner).count()),
        Erased(name="calls of speech", count=_speech(owner).count()),
        Erased(name="keys", count=_keys(owner).exclude(name__startswith=ERASED).count()),
        Erased(name="authorizations", count=McpToken.objects.filter(owner=owner).count()),
        Erased(name="stored outputs", count=sum(size > 0 for size in sizes)),
        Erased(name="workspaces", count=len(_workspaces(owner))),
    ]


def erase(owner: str) -> Iterator[Erased]:
    """Erase everything of an owner, and yield each part. Raises `ErasureRefused`, `OSError` and `DocumentError`."""
    _check_idle(owner)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            # Otherwise the texts would stay in free pages of the file.
            cursor.execute("PRAGMA secure_delete = ON")
    # Keys first, so that nothing new is made meanwhile.
    with transaction.atomic():
        keys = erase_keys(owner)
    yield Erased(name="keys", count=keys)
    with transaction.atomic():
        McpAuthorization.objects.filter(owner=owner).delete()
        tokens, _ = McpToken.objects.filter(owner=owner).delete()
    yield Erased(name="authorizations", count=tokens)
    # Files before rows: without its row, a file would not be found again.
    yield Erased(name="stored outputs", count=erase_outputs(owner))
    yield Erased(name="changes of runs", count=erase_changes(owner))
    yield Erased(name="workspaces", count=erase_workspaces(owner))
    yield Erased(name="sessions", count=erase_sessions(owner))
    yield Erased(name="executions", count=erase_executions(owner))
    yield Erased(name="calls of speech", count=_speech(owner).update(**SPEECH_BLANK))
    _check_idle(owner)
    with transaction.atomic():
        salts = _forget(AuditEntry.objects.filter(owner=owner))
        erase_user(owner)
        _record(owner, salts)
    yield Erased(name="audit contents", count=salts)
    # A removed word stays in the index of SQLite until its part of the file is written again.
    optimize("default", *INDEXES)


def _check_idle(owner: str) -> None:
    """Raise `ErasureRefused` if something of the owner is under way."""
    running = (Run.Status.RUNNING, Run.Status.WAITING)
    counts = {
        "runs": Run.objects.filter(session__owner=owner, status__in=running).count(),
        "executions": ToolExecution.objects.filter(owner=owner, status__in=ToolExecution.OPEN).count(),
        "calls of speech": SpeechRequest.objects.filter(owner=owner, status=SpeechRequest.Status.RUNNING).count(),
    }
    found = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    if found:
        raise ErasureRefused(f"{owner} still has work under way ({found}). Cancel it or wait, and try again.")


def _keys(owner: str) -> QuerySet[ApiKey]:
    kind, _, name = owner.partition(":")
    if kind == "user":
        return ApiKey.objects.filter(user_id=int(name))
    try:
        return ApiKey.objects.filter(pk=UUID(name), user=None) if kind == "key" else ApiKey.objects.none()
    except ValueError:
        return ApiKey.objects.none()


def _executions(owner: str) -> QuerySet[ToolExecution]:
    """Return the executions that were not erased before."""
    return ToolExecution.objects.filter(owner=owner).exclude(params_sha256="", call_id="", output="", note="")


def _all_executions(owner: str) -> Iterator[UUID]:
    return ToolExecution.objects.filter(owner=owner).values_list("pk", flat=True).iterator()


def _speech(owner: str) -> QuerySet[SpeechRequest]:
    texts = Q(audio=None, error="", note="", audio_sha256="", text_sha256="")
    return SpeechRequest.objects.filter(owner=owner).exclude(texts).exclude(status=SpeechRequest.Status.RUNNING)


def erase_keys(owner: str) -> int:
    """Revoke the keys of an owner, and remove their names."""
    keys = list(_keys(owner))
    for row in keys:
        issuing.revoke(row, timezone.now(), by=ERASED)
    named = [row for row in keys if not row.name.startswith(ERASED)]
    for row in named:
        row.name = ERASED
        row.save(update_fields=["name"])
        _forget(AuditEntry.objects.filter(subject=str(row.pk), owner=owner))
        key_entries.erased(row, ERASED)
    users = get_user_model().objects.filter(pk=owner.removeprefix("user:")) if owner.startswith("user:") else ()
    for rows in (keys, list(users)):
        if rows:
            kind = ContentType.objects.get_for_model(type(rows[0]))
            logged = LogEntry.objects.filter(content_type=kind, object_id__in=[str(row.pk) for row in rows])
            logged.update(object_repr=ERASED, change_message="")
    if named:
        _record(owner, len(named))
    return len(named)


def erase_outputs(owner: str) -> int:
    """Remove the stored outputs of an owner."""
    outputs, erased = resources.outputs(), 0
    for key in _all_executions(owner):
        if outputs.size(owner, key):
            outputs.remove(owner, key)
            erased += 1
    return erased


def erase_changes(owner: str) -> int:
    """Remove the earlier contents of files that the owner's runs changed."""
    changes = resources.changes()
    runs = Run.objects.filter(session__owner=owner).values_list("pk", flat=True).iterator()
    return sum(changes.remove(run_id) for run_id in runs)


def _workspaces(owner: str) -> list[Path]:
    """Return the folders of the owner and of its sessions. The root, which callers may share, is not among them."""
    workspaces = resources.workspaces()
    names = [session_folder(owner, key) for key in Session.objects.filter(owner=owner).values_list("pk", flat=True)]
    if workspaces.name(owner) != ROOT:
        names.append(owner_folder(owner))
    return [path for name in names if (path := workspaces.folder / name).is_dir() and not path.is_symlink()]


def erase_workspaces(owner: str) -> int:
    """Remove the workspaces of an owner and of its sessions, with their indexes."""
    found = _workspaces(owner)
    for path in found:
        # The index first: it has the texts of the files.
        resources.retrieval().forget(path.resolve())
        resources.foreign_folders(path.resolve()).forget()
        shutil.rmtree(path)
    return len(found)


def erase_sessions(owner: str) -> int:
    """Delete the sessions of an owner with their messages, runs, attachments and event logs."""
    count = 0
    sessions = Session.objects.filter(owner=owner, active_run=None).order_by("pk").values_list("pk", flat=True)
    while keys := list(sessions[:ROWS_AT_ONCE]):
        for key in keys:
            with transaction.atomic():
                queries.delete_session(key, owner)
        count += len(keys)
    return count


def erase_executions(owner: str) -> int:
    """Blank the texts of an owner's executions. A new entry of each commits to the rest."""
    count = 0
    ended = _executions(owner).exclude(status__in=ToolExecution.OPEN).order_by("pk")
    while keys := list(ended.values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        with transaction.atomic():
            ToolExecution.objects.filter(pk__in=keys).update(**BLANK)
            _forget(AuditEntry.objects.filter(subject__in=[str(key) for key in keys], owner=owner))
            execution_entries.erased(keys)
            _record(owner, len(keys))
        count += len(keys)
    return count


def erase_user(owner: str) -> None:
    """Remove the names of a Django user, who can no longer log in."""
    user: Any = None
    if owner.startswith("user:"):
        user = get_user_model().objects.filter(pk=owner.removeprefix("user:")).first()
    if user is None:
        return
    user.username = f"{ERASED}-{user.pk}"
    user.email = user.first_name = user.last_name = ""
    user.is_active = False
    user.set_unusable_password()
    user.save()


def _forget(entries: QuerySet[AuditEntry]) -> int:
    """Remove what entries keep of a content, and their salts, without which their commitments cannot be guessed."""
    # An entry about an erasure commits to the rest.
    return entries.exclude(kind__endswith=".erased").exclude(salt=None).update(salt=None, detail="")


def _record(owner: str, count: int) -> None:
    chain.record(Change(kind=ERASURE, subject=owner, owner=owner, actor="erase_user", detail={"contents": count}))
