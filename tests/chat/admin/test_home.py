"""The console's home page. Covers `console.site`."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from spending.models import Use
from tests.chat.admin.staff import staff
from tests.chat.admin.test_pages import page, run, session
from tools.models import ToolExecution

HOME = "/admin/"


@pytest.fixture
def console(client: Client, db: None) -> Client:
    client.force_login(staff())
    return client


def used(days_ago: int, **fields: Any) -> None:
    day = timezone.now().date() - timedelta(days=days_ago)
    names = {"owner": "operator", "key": "operator", "provider": "", "model": "", "tool": ""}
    Use.objects.create(**{"day": day, **names, **fields})


def waiting(status: str, **fields: Any) -> ToolExecution:
    now = timezone.now()
    values = {"id": uuid4(), "owner": "operator", "run_id": uuid4(), "tool": "fs.write", "status": status, "params": {}}
    return ToolExecution.objects.create(**values | {"created": now, "expires": now + timedelta(hours=1)} | fields)


def test_open_runs_and_waiting_calls_are_listed_with_links_to_decide(console: Client) -> None:
    running = run(session(title="Working"), status="running", reason="", ended=None)
    asked = waiting("awaiting_approval", params={"path": "plover.txt"})
    waiting("awaiting_approval", decision="approved", params={"path": "decided.txt"})
    shown = page(console, HOME)
    assert f"/admin/chat/run/{running.pk}/change/" in shown
    assert "Working" in shown
    assert f"/admin/tools/toolexecution/{asked.pk}/change/" in shown
    assert "plover.txt" in shown
    assert "decided.txt" not in shown
    assert "Client tools waiting" in shown


def test_failures_of_today_are_listed_and_older_ones_are_not(console: Client) -> None:
    now = timezone.now()
    run(session(), status="failed", reason="provider_auth", error="The key is wrong.", created=now)
    run(session(), status="failed", reason="internal", error="long ago", created=now - timedelta(days=2))
    shown = page(console, HOME)
    assert "The key is wrong." in shown
    assert "long ago" not in shown


def test_figure_of_failed_runs_leads_to_the_runs_that_it_counts(console: Client) -> None:
    now = timezone.now()
    ids = [run(session(), status=status, created=now).pk for status in ("failed", "interrupted")]
    run(session(), status="completed", created=now)
    run(session(), status="failed", created=now - timedelta(days=2))
    tile = re.search(
        r'<a class="tile tile-attention" href="([^"]+)">\s*<span class="tile-name">Failed', page(console, HOME)
    )
    assert tile
    listed = page(console, unescape(tile[1]))
    assert "2 runs" in listed
    assert all(f"/admin/chat/run/{key}/change/" in listed for key in ids)


def test_use_of_today_is_compared_with_yesterday_and_plotted(console: Client) -> None:
    times = {"runs": 2, "run_milliseconds": 8_000, "first_tokens": 2, "first_token_milliseconds": 900}
    used(
        0, provider="openai", model="gpt-5", calls=3, input_tokens=1_000, output_tokens=50, cost=1_500_000_000, **times
    )
    used(1, provider="openai", model="gpt-5", calls=1, input_tokens=10, output_tokens=5, cost=250_000_000)
    used(0, tool="fs.read", calls=40, failed=1, milliseconds=200)
    used(20, tool="fs.write", calls=40)
    shown = page(console, HOME)
    for part in ("$1.50", "yesterday $0.25", "1,050", "yesterday 15", "450.0 ms on average", "4.00 s on average",
                 "2.5 % of 40 calls", "5.0 ms"):  # fmt: skip
        assert part in shown, part
    assert "fs.write" not in shown
    assert "fs.write" in page(console, f"{HOME}?days=30")


@pytest.mark.parametrize("days", ["0", "-1", "x", "15", "9" * 50, "\u0667"])
def test_unknown_period_shows_the_default(console: Client, days: str) -> None:
    assert "Last 14 days" in page(console, f"{HOME}?days={days}")


def test_user_without_permissions_sees_no_figures(client: Client, permissions: None) -> None:
    client.force_login(staff("ann", "auth.view_user"))
    run(session(title="secret"), status="running")
    used(0, provider="openai", model="gpt-5", cost=1_500_000_000)
    shown = page(client, HOME)
    assert "secret" not in shown
    assert "$1.50" not in shown
    assert ">Users<" in shown
    assert ">Sessions<" not in shown


def test_number_of_queries_does_not_grow_with_the_rows(console: Client, django_assert_max_num_queries: Any) -> None:
    for _ in range(30):
        run(session(), status="running")
        waiting("awaiting_approval", owner=f"key:{uuid4()}")
    with django_assert_max_num_queries(28):
        console.get(HOME)


@pytest.mark.parametrize("app", ["chat", "tools", "access", "auth", "audit"])
def test_page_of_an_app_has_the_navigation_and_the_state_of_the_live_connection(console: Client, app: str) -> None:
    shown = page(console, f"/admin/{app}/")
    for part in ('aria-label="Console"', 'id="console-state"', "console/live.js", 'aria-label="Breadcrumbs"'):
        assert part in shown, part


def test_page_for_those_who_are_not_logged_in_reads_no_record(client: Client, db: None) -> None:
    assert client.get(HOME).status_code == 302
    assert "console-live" not in client.get("/admin/login/").content.decode()
