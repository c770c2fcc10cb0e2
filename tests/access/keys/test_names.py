"""The names of keys and users on the console's pages, and in what the commands print.

Covers `access.keys.named_pages`.
"""

import re
from html import unescape
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import conditional_escape

from access.keys import issuing
from access.keys.names import Names
from access.models import ApiKey
from chat.models import Run, Session
from speech.models import SpeechRequest
from spending.models import Account, Use
from tests.chat.admin.staff import staff
from tools.models import ToolExecution

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
LISTS = ("chat/session", "chat/run", "tools/toolexecution", "speech/speechrequest", "spending/use", "spending/account",
         "access/apikey")  # fmt: skip


@pytest.fixture
def console(client: Client, db: None) -> Client:
    client.force_login(User.objects.create(username="op", is_staff=True, is_superuser=True))
    return client


def key(name: str, **given: Any) -> ApiKey:
    return issuing.issue(issuing.validated(timezone.now(), name=name, **given), timezone.now()).row


def rows_of(one: ApiKey) -> list[Any]:
    now = timezone.now()
    session = Session.objects.create(id=uuid4(), owner=one.owner, title="Hi", created=now, updated=now)
    run = Run.objects.create(id=uuid4(), session=session, key=one.pk, status="completed", created=now)
    execution = ToolExecution.objects.create(
        id=uuid4(), owner=one.owner, decided_by=one.owner, tool="fs.read", params={}, status="running", created=now
    )
    speech = SpeechRequest.objects.create(
        id=uuid4(), owner=one.owner, operation="synthesis", status="running", created=now
    )
    use = Use.objects.create(day=now.date(), owner=one.owner, key=str(one.pk), provider="p", model="m", tool="")
    account = Account.objects.create(name=f"key:{one.pk}:tokens/2026-11", spent=1, reserved=0, updated=now)
    made = ApiKey.objects.create(
        id=uuid4(), name=f"made by {one.prefix}", sha256=uuid4().hex, scopes=[], made_by=one.pk, created=now
    )
    return [session, run, execution, speech, use, account, made]


def shown(console: Client, path: str, query: str = "") -> str:
    """Return the text of a page without its tags."""
    answer = console.get(path + query)
    assert answer.status_code == 200, path
    return unescape(re.sub(r"<[^>]*>", "", answer.content.decode()))


def change(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def test_every_page_shows_keys_and_users_by_name(console: Client) -> None:
    old = key("ci")
    issuing.revoke(old, timezone.now())
    new, of_user = key("ci"), key("hers", user_id=User.objects.create_user("ann").pk)
    every = [rows_of(one) for one in (old, new, of_user)]
    for path in LISTS:
        text = shown(console, f"/admin/{path}/")
        assert not UUID.search(text), path
    for one, rows in zip((old, new), every[:2], strict=True):
        name = f"ci ({one.prefix})"
        for row in rows:
            answer = console.get(change(row)).content.decode()
            assert f'{reverse("admin:access_apikey_change", args=[one.pk])}" title="{one.pk}">{name}</a>' in answer
            assert f"key:{one.pk}" not in re.sub(r"<[^>]*>", "", answer)
    # A filter of a list names its choices, and a search finds rows by the prefix.
    for path in ("chat/session", "chat/run", "tools/toolexecution", "speech/speechrequest", "spending/use"):
        found = shown(console, f"/admin/{path}/", f"?q={new.prefix}")
        assert all(f"ci ({one.prefix})" in found for one in (old, new)), path
        assert re.search(r"\b1 (?!result)", found.split("Search")[-1]), path
    for row in every[2][:4]:
        assert "ann (user)" in shown(console, change(row))


def test_names_are_links_only_to_pages_that_the_reader_may_see(client: Client, permissions: None) -> None:
    owner = User.objects.create_user("ann")
    rows = rows_of(key("ci")) + rows_of(key("hers", user_id=owner.pk))
    client.force_login(staff("reader", "chat.view_session", "chat.view_run", "tools.view_toolexecution"))
    Run.objects.update(status="running")
    ToolExecution.objects.update(status="awaiting_approval")
    paths = ["/admin/", "/admin/chat/session/", *(change(row) for row in rows if isinstance(row, Session | Run))]
    for path in paths:
        answer = client.get(path).content.decode()
        assert not re.search(r'href="/admin/(?:auth/user|access/apikey)/', answer), path
        assert "(user)" in answer or "ci (osk_" in answer, path


def test_search_finds_rows_by_the_name_of_a_key_or_user(console: Client) -> None:
    ci, of_user = key("ci"), key("hers", user_id=User.objects.create_user("ann").pk)
    for one in (ci, of_user):
        rows_of(one)
    for name, plural in (("session", "chat/session"), ("tool execution", "tools/toolexecution"),
                         ("account", "spending/account"), ("run", "chat/run")):  # fmt: skip
        for query in ("ci", ci.prefix, str(ci.pk), f"key:{ci.pk}"):
            assert f"1 {name}\n" in shown(console, f"/admin/{plural}/", f"?q={query}"), (plural, query)
    assert "1 session\n" in shown(console, "/admin/chat/session/", "?q=ann")


def test_names_are_read_in_one_query_for_a_page(console: Client) -> None:
    counts = []
    for _ in range(2):
        for _ in range(3):
            rows_of(key(uuid4().hex))
        for path in LISTS:
            with CaptureQueriesContext(connection) as queries:
                console.get(f"/admin/{path}/")
            counts.append((path, sum('FROM "api_keys"' in query["sql"] for query in queries)))
    assert counts[: len(LISTS)] == counts[len(LISTS) :]


def test_what_is_no_key_and_no_user_is_shown_as_it_is(db: None) -> None:
    unknown = [
        str(uuid4()),
        f"key:{uuid4()}",
        "user:7",
        "user:" + "9" * 40,
        "operator",
        "command line",
        "key:operator:usd",
    ]
    names = Names([*unknown, None, ""])
    assert [names.text(one) for one in unknown] == unknown
    assert conditional_escape(names.link("<b>\u202e")) == "&lt;b&gt;\\u202e"
    assert names.link("") == names.link(None) == "-"


def test_usage_command_names_keys(db: None) -> None:
    one = key("ci", budgets=["10usd/month"])
    rows_of(one)
    for options in (["--group-by", "key"], ["--budgets"]):
        out = StringIO()
        call_command("usage", *options, stdout=out, stderr=StringIO())
        assert f"ci ({one.prefix})" in out.getvalue()
        assert str(one.pk) not in out.getvalue()
