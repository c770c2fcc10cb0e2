"""The audit console's pages of sessions, runs and messages, requested as an operator's browser does.

Covers `chat.admin.annotations`, `chat.admin.fields`, `chat.admin.message_pages`, `chat.admin.run_pages`,
`chat.admin.session_pages`, `chat.admin.searching`, `console.columns`, `console.filters`,
`console.pages` and `console.text_search`.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from chat.admin import log_table
from chat.engine.events import End, ToolResult, TotalUsage
from chat.engine.model_port import Finished, ProviderError, TokensUsed, ToolCall
from chat.history.log_lines import event_lines
from chat.models import Attachment, Message, Run, RunEvent, Session
from chat.providers.scripted import Scripted, text
from chat.wire import sse
from tests.conftest import Start
from tools.models import ToolExecution
from tools.resources import workspaces

SESSIONS, RUNS, MESSAGES = "/admin/chat/session/", "/admin/chat/run/", "/admin/chat/message/"
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202etxt.exe\r\nnext"
START = datetime(2026, 3, 4, 12, tzinfo=UTC)
TOKENS: dict[str, Any] = {"input_tokens": 1_000, "output_tokens": 20, "cost_usd": Decimal("0.0012")}


@pytest.fixture
def console(client: Client, db: None) -> Client:
    client.force_login(User.objects.create(username="op", is_staff=True, is_superuser=True))
    return client


def session(**fields: Any) -> Session:
    values = {"id": uuid4(), "owner": "operator", "user": "ann", "title": "Hi", "created": START, "updated": START}
    return Session.objects.create(**values | fields)


def run(of: Session, **fields: Any) -> Run:
    values = {"id": uuid4(), "session": of, "status": "completed", "reason": "completed", "provider": "openai"}
    times = {"created": START, "started": START, "ended": START + timedelta(seconds=2)}
    return Run.objects.create(**values | {"model": "gpt-1"} | times | fields)


def message(of: Run, role: str = "user", **fields: Any) -> Message:
    values = {"session": of.session, "run": of, "role": role, "content": "Hello", "created": START}
    return Message.objects.create(**values | fields)


def page(console: Client, path: str) -> str:
    response = console.get(path)
    assert response.status_code == 200
    return response.content.decode()


def change(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def test_session_page_shows_its_totals(console: Client) -> None:
    one = session()
    for _ in range(2):
        turn = run(one, **TOKENS)
        message(turn)
        message(turn, "assistant", **TOKENS)
    for path in (SESSIONS, change(one)):
        assert all(f">{shown}<" in page(console, path) for shown in ("4", "2,000", "40", "$0.0024"))


OUTCOMES = [
    ("completed", "completed", "completed", "Completed"),
    ("completed", "budget_exceeded", "stopped", "Stopped"),
    ("completed", "max_steps", "stopped", "Stopped"),
    ("completed", "content_filter", "stopped", "Stopped"),
    ("cancelled", "cancelled", "cancelled", "Cancelled"),
    ("failed", "provider_auth", "failed", "Failed"),
    ("interrupted", "shutting_down", "interrupted", "Interrupted"),
    ("waiting", "", "waiting", "Waiting"),
    ("running", "", "running", "Running"),
]


def test_outcome_and_reason_of_a_run_are_shown_on_every_page(console: Client) -> None:
    one = session()
    times = [START + timedelta(seconds=number) for number, _ in enumerate(OUTCOMES)]
    runs = [
        run(one, status=status, reason=reason, created=when)
        for (status, reason, _, _), when in zip(OUTCOMES, times, strict=True)
    ]
    shown = [(kind, word, reason or "-") for _, reason, kind, word in OUTCOMES]
    found = re.compile(r'class="audit-status audit-(\w+)">([^<]+)</span></td><td class="field-reason">([^<]+)<')
    assert found.findall(page(console, RUNS)) == shown[::-1]
    assert found.findall(page(console, change(one))) == shown
    for row, (kind, word, reason) in zip(runs, shown, strict=True):
        text = page(console, change(row))
        assert f'class="audit-status audit-{kind}">{word}<' in text
        assert f">{reason}<" in text


def test_unknown_price_is_never_shown_as_zero(console: Client) -> None:
    one = session()
    run(one, input_tokens=5, output_tokens=1)
    assert ">unknown<" in page(console, SESSIONS)
    assert ">unknown<" in page(console, RUNS)
    run(one, **TOKENS)
    assert ">at least $0.0012<" in page(console, SESSIONS)


def test_pages_link_to_each_other(console: Client) -> None:
    one = session()
    turn = run(one)
    asked = message(turn, "assistant", content="", tool_calls=[{"call_id": "c1", "name": "fs.read", "arguments": "{}"}])
    result = message(turn, "tool", content="plover", call_id="c1", tool="fs.read")
    did = ToolExecution.objects.create(
        id=uuid4(), session_id=one.pk, run_id=turn.pk, call_id="c1", tool="fs.read", params={}, status="succeeded",
        source="model", created=START,
    )  # fmt: skip
    for row, others in {
        one: (turn, asked, result, did), turn: (one, asked, result, did), asked: (one, turn, did),
        result: (one, turn, did),
        did: (one, turn),
    }.items():  # fmt: skip
        shown = page(console, change(row))
        assert all(change(other) in shown for other in others)
    assert change(one) in page(console, RUNS)
    assert all(change(other) in page(console, MESSAGES) for other in (one, turn))
    assert "calls fs.read" in page(console, MESSAGES)


@pytest.mark.parametrize("row", [session, lambda: run(session()), lambda: message(run(session()))])
def test_records_cannot_be_added_changed_or_deleted(console: Client, row: Any) -> None:
    kept = row()
    there = change(kept)
    assert console.post(there, {"title": "changed"}).status_code == 403
    assert console.post(there.replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403
    assert console.get(there.rsplit("/", 3)[0] + "/add/").status_code == 403
    assert "Save" not in page(console, there)
    assert "action-checkbox" not in page(console, there.rsplit("/", 3)[0] + "/")
    assert type(kept).objects.filter(pk=kept.pk).exists()


def test_hostile_text_is_escaped_and_shown_completely(console: Client) -> None:
    one = session(title=HOSTILE, user=HOSTILE, metadata={HOSTILE: HOSTILE})
    turn = run(one, error=HOSTILE, provider=HOSTILE, model=HOSTILE, reason="x\u202e", options={"a": HOSTILE})
    said = message(turn, content=HOSTILE, call_id=HOSTILE, tool=HOSTILE, tool_calls=[{"call_id": "", "name": HOSTILE}])
    frame = sse.frame(1, ToolResult(tool=HOSTILE, data={"content": HOSTILE}, execution_id="x"))
    RunEvent.objects.create(run=turn, first=1, last=1, frames=frame, created=START)
    for path in (SESSIONS, RUNS, MESSAGES, change(one), change(turn), change(said)):
        shown = page(console, path)
        assert "<script>alert" not in shown
        assert not {"\x1b", "\u202e"} & set(shown)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
        assert "\\u202etxt.exe" in shown


def test_long_text_is_truncated_and_available_whole(console: Client) -> None:
    said = message(run(session()), content="x" * 30_000 + "\r\nthe end")
    shown = page(console, change(said))
    assert "the end" not in shown
    assert "The first 20,000 of 30,009 characters." in shown
    whole = console.get(reverse("admin:chat_message_whole", args=[said.pk, "content"]))
    assert whole.content.endswith(b"x\r\nthe end")
    assert whole["X-Content-Type-Options"] == "nosniff"


def test_long_session_shows_the_newest_messages_and_links_to_the_others(console: Client) -> None:
    one = session()
    turn = run(one)
    said = [message(turn, content=f"number {number}") for number in range(70)]
    shown = page(console, change(one))
    assert "number 9<" not in shown
    assert shown.index("number 10<") < shown.index("number 69<")
    assert f'href="?before={said[10].pk}"' in shown
    earlier = page(console, f"{change(one)}?before={said[10].pk}")
    assert "number 0<" in earlier
    assert "number 10<" not in earlier
    assert "70 messages" in page(console, f"{MESSAGES}?session_id={one.pk}")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"{SESSIONS}?updated__on=2026-03-04", "1 session"),
        (f"{SESSIONS}?user=bob", "1 session"),
        (f"{SESSIONS}?q=lighthouse", "1 session"),
        (f"{SESSIONS}?q=plover", "1 session"),
        (f"{SESSIONS}?q=plov", "1 session"),
        (f"{SESSIONS}?q=plover&user=ann", "0 sessions"),
        (f"{SESSIONS}?q={UUID('1' * 32)}", "1 session"),
        (f"{SESSIONS}?q={UUID('2' * 32)}", "1 session"),
        (f"{RUNS}?created__on=2026-03-05", "1 run"),
        (f"{RUNS}?status__exact=failed", "1 run"),
        (f"{RUNS}?provider=gemini", "1 run"),
        (f"{RUNS}?model=gemini-9", "1 run"),
        (f"{RUNS}?model=none-such", "0 runs"),
        (f"{RUNS}?q=quota", "1 run"),
        (f"{RUNS}?q=lighthouse", "1 run"),
        (f"{RUNS}?q=plover", "1 run"),
        (f"{RUNS}?q=gemini-9", "1 run"),
        (f"{RUNS}?q=cormorant", "1 run"),
        (f"{RUNS}?q=cormorant&status__exact=completed", "0 runs"),
        (f"{RUNS}?q={UUID('1' * 32)}", "1 run"),
        (f"{MESSAGES}?run__created__on=2026-03-05", "1 message"),
        (f"{MESSAGES}?role__exact=tool", "1 message"),
        (f"{MESSAGES}?tool=fs.read", "1 message"),
        (f"{MESSAGES}?is_error__exact=1", "1 message"),
        (f"{MESSAGES}?q=plover", "1 message"),
        (f"{MESSAGES}?run_id={UUID('2' * 32)}", "1 message"),
    ],
)
def test_lists_are_filtered_and_searched(console: Client, path: str, found: str) -> None:
    message(run(session(id=UUID("1" * 32), title="The lighthouse")))
    late = START + timedelta(days=1)
    failed = {"status": "failed", "provider": "gemini", "model": "gemini-9", "error": "The quota is used up."}
    last = run(session(user="bob", updated=late), id=UUID("2" * 32), created=late, **failed)
    message(last, "tool", content="plover", tool="fs.read", is_error=True, created=late)
    ToolExecution.objects.create(
        id=uuid4(), session_id=last.session_id, run_id=last.pk, tool="fs.read", params={"path": "cormorant.txt"},
        status="succeeded", source="model", created=late,
    )  # fmt: skip
    assert f"\n{found}\n" in page(console, path)


@pytest.mark.parametrize(("path", "queries"), [(SESSIONS, 9), (RUNS, 11), (MESSAGES, 10)])
def test_number_of_list_queries_does_not_grow_with_the_rows(
    console: Client, django_assert_num_queries: Any, path: str, queries: int
) -> None:
    for count in (1, 30):
        for _ in range(count):
            message(run(session()))
        with django_assert_num_queries(queries):
            console.get(path)


def test_number_of_page_queries_does_not_grow_with_the_rows(
    console: Client, django_assert_max_num_queries: Any
) -> None:
    one = session()
    console.get(change(one))  # A process looks up the table's content type once.
    for _ in range(30):
        message(run(one))
    with django_assert_max_num_queries(16):
        console.get(change(one))


def test_log_shows_consecutive_tokens_as_one_line() -> None:
    frames = sse.token_frames(1, [b"Hel", b"lo"])
    end = End(reason="completed", run_id="r", session_id=None, usage=TotalUsage())
    more = sse.token_frames(3, [b"!"]) + sse.frame(4, end) + sse.token_frames(5, [b"?"])
    lines = list(event_lines([(1, frames), (3, more)]))
    assert [(line.numbers, line.kind, line.text) for line in lines] == [
        ("1-3", "token", "Hello!"),
        ("4", "end", ""),
        ("5", "token", "?"),
    ]
    assert lines[1].fields["reason"] == "completed"


def test_long_log_is_truncated_and_available_whole(console: Client) -> None:
    turn = run(session())
    result = ToolResult(tool="fs.read", data={"content": "y" * 5_000}, execution_id="x")
    frames = [sse.frame(number, result) for number in range(1, 251)]
    for number, frame in enumerate(frames, 1):
        RunEvent.objects.create(run=turn, first=number, last=number, frames=frame, created=START)
    shown = page(console, change(turn))
    assert "of 250." in shown
    assert len(shown) < 400_000
    whole = console.get(reverse("admin:chat_run_whole", args=[turn.pk, "events"]))
    assert whole.content == b"".join(frames)


def test_page_of_a_run_reports_that_its_events_were_pruned(console: Client) -> None:
    assert unescape(log_table.PRUNED) in page(console, change(run(session())))


def test_images_of_a_message_are_shown_by_type_and_size(console: Client) -> None:
    said = message(run(session()), content="", attachments=1)
    Attachment.objects.create(message=said, media_type="image/png", data=b"1234")
    assert "image/png" in page(console, change(said))
    assert "pictures: 1" in page(console, MESSAGES)


async def test_run_is_shown_from_its_question_to_its_end(start: Start, client: Client) -> None:
    (workspaces().root.base / "notes.txt").write_text("The word is plover.\n")
    call = ToolCall(call_id="call_1", name="fs.read", arguments='{"path": "notes.txt"}')
    broken = ProviderError("It was cut.", code="provider_protocol", retryable=True)
    used = TokensUsed(input_tokens=7, output_tokens=2)
    api = await start(Scripted([call, used, Finished(reason="tool_calls")], [text("It is ", "plover"), broken]))
    answer = await api.ask(message="Read it")

    def look() -> str:
        client.force_login(User.objects.create(username="op", is_staff=True, is_superuser=True))
        return unescape(page(client, f"{RUNS}{answer.headers['X-Run-Id']}/change/"))

    shown = await sync_to_async(look)()
    for result in ("Failed", "It was cut.", "Read it", '{"path": "notes.txt"}', "It is plover", "provider_protocol"):
        assert result in shown


def test_search_finds_nothing_by_texts_that_the_user_may_not_see(client: Client, permissions: None) -> None:
    message(run(session(title="Plain")), content="plover")
    viewer = User.objects.create(username="viewer", is_staff=True)
    viewer.user_permissions.add(*Permission.objects.filter(codename__in=("view_session", "view_run")))
    client.force_login(viewer)
    assert "\n0 sessions\n" in page(client, f"{SESSIONS}?q=plover")
    assert "\n0 runs\n" in page(client, f"{RUNS}?q=plover")
    assert "\n1 session\n" in page(client, f"{SESSIONS}?q=plain")
    viewer.user_permissions.add(Permission.objects.get(codename="view_message"))
    assert "\n1 session\n" in page(client, f"{SESSIONS}?q=plover")
