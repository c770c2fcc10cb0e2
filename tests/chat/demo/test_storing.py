"""The demo's week in a database: rows as the service writes them, a valid audit chain, pages that show it.

Covers `chat.demo.bookings`, `chat.demo.execution_rows`, `chat.demo.session_rows`, `chat.demo.storing` and
`chat.management.commands.demo`.
"""

from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models import Sum
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import ApiKey
from audit.models import AuditEntry
from chat.models import Message, Run, RunEvent, Session
from chat.runs.live.suspension import State
from chat.wire import sse
from spending.models import Account, Use
from tests.audit.history import problem
from tools.approvals import decisions
from tools.models import ToolExecution


@pytest.fixture
def week(db: None) -> None:
    call_command("demo", "--only", "week", stdout=StringIO())


def test_week_is_valid_and_its_usage_agrees_with_its_rows(week: None) -> None:
    assert problem() == ""
    assert Session.objects.count() > 60
    assert ApiKey.objects.filter(revoked=None).count() == 5
    costs = Message.objects.aggregate(total=Sum("cost_usd"))["total"]
    assert Run.objects.aggregate(total=Sum("cost_usd"))["total"] == costs
    booked = Use.objects.exclude(model="").filter(provider__in=Run.objects.values("provider"), tool="")
    models = booked.exclude(model__in=("tts-1", "gpt-transcribe")).aggregate(total=Sum("cost"))["total"]
    # Each call is rounded to a billionth of a dollar.
    assert abs(Decimal(models) / 10**9 - costs) < Decimal("0.000001")
    ended = ToolExecution.objects.exclude(ended=None)
    assert Use.objects.exclude(tool="").aggregate(total=Sum("calls"))["total"] == ended.count()
    assert Account.objects.filter(spent__gt=0).count() >= 4


def test_logs_replay_and_waiting_runs_can_be_decided(week: None) -> None:
    for run in Run.objects.all():
        frames = b"".join(bytes(row.frames) for row in RunEvent.objects.filter(run=run).order_by("first"))
        events = sse.events(frames)
        assert (events[0].__struct_config__.tag, len(events)) == ("start", frames.count(b"id: "))
    waiting = Run.objects.filter(status="waiting")
    assert waiting.count() == 3
    for run in waiting:
        state = msgspec.json.decode(run.suspended, type=State)
        assert run.session.active_run == run.pk
        row = decisions.decide(state.suspended.execution_id, "denied", by="root", params_sha256=None)
        assert row.run_id == run.pk
    assert problem() == ""


def test_pages_show_the_week(week: None, client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    failed = Run.objects.filter(status="failed").first()
    denied = ToolExecution.objects.filter(decision="denied").first()
    pictured = Message.objects.filter(attachments=1).first()
    for row in (Session.objects.first(), failed, denied, pictured, AuditEntry.objects.first()):
        assert row is not None
        url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
        assert client.get(url).status_code == 200
    shown = client.get("/admin/chat/session/?q=tide").content.decode()
    assert "Release notes" in shown


@pytest.mark.parametrize("kind", ["session", "key"])
def test_database_with_records_is_never_touched(db: None, kind: str) -> None:
    now = timezone.now()
    values: dict[str, Any] = {"id": uuid4(), "created": now}
    if kind == "session":
        Session.objects.create(**values, owner="operator", updated=now)
    else:
        ApiKey.objects.create(**values, name="mine", prefix="p", sha256="s", scopes=[])
    with pytest.raises(CommandError, match="has records already, so it is left as it is"):
        call_command("demo", "--only", "week", stdout=StringIO())
    assert Run.objects.count() == User.objects.count() == 0
