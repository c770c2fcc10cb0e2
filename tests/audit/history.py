"""A history of every kind of recorded change, as the service's own functions write it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone

from access.keys import issuing
from audit.verification import SavedHead, Verified, verify
from chat.history import queries
from chat.models import Run, Session
from orchestrator_site.auditing.records import COVERED
from spending.ledger import Used
from storage import statement_batch
from storage.ids import new_id
from tools.approvals import decisions
from tools.client_tools import results
from tools.execution import entries, rows
from tools.execution.rows import Intent, Outcome, Status
from tools.models import ToolExecution

ALICE, BOB = "key:alice", "key:bob"


def open_execution(status: Status = Status.RUNNING, owner: str = ALICE, **given: Any) -> UUID:
    """Write the intent of an execution, as the writer does. Call it in a transaction."""
    now = timezone.now()
    intent = Intent(
        execution_id=new_id(),
        owner=owner,
        session_id=new_id(),
        run_id=given.pop("run_id", None),
        call_id="call_1",
        tool="fs.read",
        source="model",
        params=given.pop("params", {"path": "notes.txt", "lines": [1, 2.5, 1e16, -0.0], "é": None}),
        params_sha256="ab" * 32,
        confinement="landlock",
        created=now,
        status=status,
        expires=None if status == Status.RUNNING else now + timedelta(minutes=5),
        **given,
    )
    rows.open_execution(intent)
    return intent.execution_id


def outcome(execution_id: UUID, **given: Any) -> Outcome:
    """Return an outcome, successful unless a `code` is given."""
    values = {"data": {"text": "héllo", "size": 1e300}, "error": "", "code": None, "output": "printed", **given}
    return Outcome(
        execution_id=execution_id,
        ended=timezone.now(),
        duration_ms=12.345,
        output_size=7,
        output_sha256="cd" * 32,
        **values,
    )


def run_tool(owner: str = ALICE, **given: Any) -> UUID:
    """Write the intent and the outcome of an execution, each in a transaction of a batch, as the writer does."""
    with transaction.atomic(), statement_batch.collected():
        execution_id = open_execution(owner=owner, **given)
    with transaction.atomic(), statement_batch.collected():
        rows.close_execution(outcome(execution_id))
    return execution_id


def make_history() -> None:
    """Make executions of all outcomes, decisions, keys, users, groups and deletions."""
    now = timezone.now()
    for owner in (ALICE, BOB):
        run_tool(owner)
    with transaction.atomic():
        asked = [open_execution(Status.AWAITING_APPROVAL) for _ in range(3)]
        client = open_execution(Status.AWAITING_CLIENT, owner=BOB)
        running = open_execution()
        decisions.decide(asked[0], "approved", by="operator", params_sha256=None, note="fine")
        decisions.decide(asked[1], "denied", by="operator", params_sha256=None)
        rows.start_execution(asked[0], now)
        rows.close_execution(outcome(asked[0], code="failed", error="It broke.", data=None))
        rows.close_execution(outcome(asked[1], code="denied"), Status.AWAITING_APPROVAL)
        used = Used(owner=BOB, key="", tool="fs.read", failed=False, milliseconds=1, nanos=0)
        results.give(outcome(client), used, BOB, "ef" * 32)
        # A fact of an execution that still runs, as of a deployment.
        ToolExecution.objects.filter(id=running).update(data={"key": "k", "fact": "f"})
        entries.remembered(running)
    made = issuing.issue(issuing.validated(now, name="ci", budgets=("1usd/day",)), now, by="operator").row
    issuing.issue(issuing.validated(now, name="child", made_by=made.pk), now)
    other = issuing.issue(issuing.validated(now, name="other"), now).row
    issuing.revoke(other, now, by="operator")
    group = Group.objects.create(name="readers")
    user = User.objects.create_user("alice", password="secret")
    User.objects.create_user("bob", is_staff=True)
    user.groups.add(group)
    user.is_staff = True
    user.save()
    User.objects.create_user("charlie").delete()
    session = Session.objects.create(id=new_id(), owner=ALICE, created=now, updated=now)
    Run.objects.create(id=new_id(), session=session, status="completed", created=now)
    with transaction.atomic():
        assert queries.delete_session(session.id, ALICE) is True
    run_tool()


def verified(start: int = 1, saved: SavedHead | None = None) -> Verified:
    """Verify the database of this process."""
    return verify(COVERED, start=start, saved=saved, report=lambda what, count: None)


def problem() -> str:
    """Return the first problem of the chain; empty if there is none."""
    found = verified().problem
    return str(found) if found else ""
