"""The indexes of words in which the lists of sessions, runs and messages find rows."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from chat import searched
from chat.models import Message, Run
from console.text_search import TextSource
from tools.admin.pages import EXECUTION_TEXTS
from tools.models import ToolExecution

RUNS_AT_ONCE: Final = 2_000
"""Runs of the sessions that one batch of matches names."""


def _sessions_of_messages(keys: Sequence[Any]) -> Iterable[Any]:
    return Message.objects.filter(pk__in=keys).order_by("-pk").values_list("session_id", flat=True)


def _runs_of_messages(keys: Sequence[Any]) -> Iterable[Any]:
    return Message.objects.filter(pk__in=keys).order_by("-pk").values_list("run_id", flat=True)


def _runs_of_executions(keys: Sequence[Any]) -> Iterable[Any]:
    rows = ToolExecution.objects.filter(pk__in=keys).exclude(run_id=None)
    return rows.order_by("-created").values_list("run_id", flat=True)


def _runs_of_sessions(keys: Sequence[Any]) -> Iterable[Any]:
    rows = Run.objects.filter(session_id__in=keys).order_by("-created")
    return rows.values_list("pk", flat=True)[:RUNS_AT_ONCE]


_session, _message, _run = "chat.view_session", "chat.view_message", "chat.view_run"

SESSIONS: Final = (
    TextSource(index=searched.SESSIONS, permission=_session),
    TextSource(index=searched.MESSAGES, permission=_message, rows=_sessions_of_messages),
)
RUNS: Final = (
    TextSource(index=searched.RUNS, permission=_run),
    TextSource(index=searched.SESSIONS, permission=_session, rows=_runs_of_sessions),
    TextSource(index=searched.MESSAGES, permission=_message, rows=_runs_of_messages),
    TextSource(index=EXECUTION_TEXTS.index, permission=EXECUTION_TEXTS.permission, rows=_runs_of_executions),
)
MESSAGES: Final = (TextSource(index=searched.MESSAGES, permission=_message),)
