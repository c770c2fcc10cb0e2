"""The timeline of a run's page. Covers `tools.admin.card`."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from chat.engine.events import BudgetUsed, Compaction, Retry
from chat.models import Attachment, RunEvent
from chat.wire import sse
from tests.chat.admin.staff import staff
from tests.chat.admin.test_pages import START, change, message, page, run, session
from tools.models import ToolExecution
from tools.resources import workspaces

WAV = b"RIFF" + (36).to_bytes(4, "little") + b"WAVEfmt " + bytes(28)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def console(client: Client, db: None) -> Client:
    client.force_login(staff())
    return client


def execution(**fields: object) -> ToolExecution:
    values = {"id": uuid4(), "owner": "operator", "tool": "fs.read", "params": {}, "status": "succeeded"}
    values |= {"source": "model", "created": START}
    return ToolExecution.objects.create(**values | fields)


def test_entries_are_in_the_order_of_the_run_whatever_their_clocks_show(console: Client) -> None:
    turn = run(session())
    message(turn, content="question")
    calls = [{"call_id": "same", "name": "fs.read", "arguments": "{}"}]
    for number in (1, 2):
        message(
            turn, "assistant", content=f"step {number}", tool_calls=calls, created=START + timedelta(seconds=number)
        )
        # Each provider call may use the same id, and the clock of a worker may be behind.
        execution(run_id=turn.pk, call_id="same", output=f"output {number}")
        message(turn, "tool", content=f"result {number}", call_id="same", created=START + timedelta(seconds=number))
    message(turn, "assistant", content="answer", created=START + timedelta(seconds=3))
    shown = page(console, change(turn))
    parts = ["question", "step 1", "output 1", "step 2", "output 2", "answer"]
    places = [shown.index(part) for part in parts]
    assert places == sorted(places)
    # The model's copy of a result is one click away, and not shown twice.
    assert "result 1" not in shown
    assert shown.count("What the model received") == 2


def test_long_run_is_shown_in_pages_with_the_executions_of_their_time(console: Client) -> None:
    turn = run(session())
    for number in range(70):
        when = START + timedelta(seconds=number)
        calls = [{"call_id": "same", "name": "fs.read", "arguments": "{}"}]
        message(turn, "assistant", content=f"step {number:02}", tool_calls=calls, created=when)
        execution(run_id=turn.pk, call_id="same", output=f"output {number:02}", created=when)
    newest = page(console, change(turn))
    assert "step 09" not in newest
    assert newest.index("step 10") < newest.index("output 10") < newest.index("step 11") < newest.index("output 69")
    older = newest.partition('href="?before=')[2].partition('"')[0]
    earlier = page(console, f"{change(turn)}?before={older}")
    assert earlier.index("step 00") < earlier.index("output 00") < earlier.index("step 09") < earlier.index("output 09")
    assert "output 10" not in earlier
    assert "Newest messages" in earlier
    for hostile in ("x", "-1", "9" * 30, "", "0"):
        assert "step" in page(console, f"{change(turn)}?before={hostile}") or hostile == "0"


def test_retries_compactions_and_budgets_are_notes(console: Client) -> None:
    turn = run(session())
    events = [
        Retry(provider="openai", attempt=1, error="It is <b>down</b>.", next_provider="gemini"),
        Compaction(before=9_000, after=1_000, results=2, left_out=0, summarized=5),
        BudgetUsed(scope="key", span="day", spent=4.5, limit=5, unit="usd"),
    ]
    frames = b"".join(sse.frame(number, event) for number, event in enumerate(events, 1))
    token = sse.token_frames(4, [b'data: {\\"type\\":\\"retry\\"}\\n'])
    RunEvent.objects.create(run=turn, first=1, last=4, frames=frames + token, created=START)
    shown = page(console, change(turn))
    assert "Attempt 1 with openai failed: It is &lt;b&gt;down&lt;/b&gt;. Next: gemini." in shown
    assert "from 9,000 to 1,000 tokens, 5 messages summarized" in shown
    assert "The budget of the key (day) is nearly used: 4.5 of 5 usd." in shown
    assert shown.count('class="entry-note"') == 3


def test_decision_is_shown_with_its_note_and_who_made_it(console: Client) -> None:
    turn = run(session())
    decided = {"decision": "denied", "decided_by": "ann", "note": "Too risky.", "decided": START}
    execution(run_id=turn.pk, call_id="a", status="denied", error="Denied.", **decided)
    shown = page(console, change(turn))
    assert "Denied by ann, 2026-03-04 12:00:00" in shown
    assert "Too risky." in shown


def test_pictures_are_served_with_their_own_type_to_who_may_see_messages(console: Client, client: Client) -> None:
    said = message(run(session()), attachments=1)
    picture = Attachment.objects.create(message=said, media_type="image/png", data=PNG)
    there = reverse("admin:chat_message_picture", args=[said.pk, picture.pk])
    assert f'src="{there}"' in page(console, change(said.run))
    answer = console.get(there)
    assert (answer.content, answer["Content-Type"]) == (PNG, "image/png")
    assert console.get(reverse("admin:chat_message_picture", args=[said.pk + 1, picture.pk])).status_code == 404
    client.force_login(staff("other", "chat.view_run"))
    assert client.get(there).status_code == 403


def test_output_is_read_in_pages(console: Client) -> None:
    one = execution(output_size=10)
    there = reverse("admin:tools_toolexecution_output", args=[one.pk])
    # The store has no such output any more.
    assert console.get(there).status_code == 404
    for offset in ("-1", "x", "1e3", "9" * 16, "²"):
        assert console.get(f"{there}?offset={offset}").status_code == 400
    assert console.get(reverse("admin:tools_toolexecution_audio", args=[one.pk])).status_code == 404


def test_audio_of_a_tool_is_played_from_the_workspace(console: Client) -> None:
    made = execution(tool="speech.synthesize", params={"path": "said.wav"})
    other = execution(tool="fs.write", params={"path": "said.wav"})
    workspaces().at("operator").write("said.wav", WAV)
    there, not_there = (reverse("admin:tools_toolexecution_audio", args=[one.pk]) for one in (made, other))
    assert f'src="{there}"' in page(console, change(made))
    answer = console.get(there)
    assert (answer.content, answer["Content-Type"]) == (WAV, "audio/wav")
    assert console.get(not_there).status_code == 404
    # A file that replaced it is not served unless it is audio too.
    workspaces().at("operator").write("said.wav", b"<script>alert(1)</script>")
    assert console.get(there).status_code == 404
