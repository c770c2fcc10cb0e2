"""Whole sessions: archived, forked, exported and imported; bad input first.

Covers `chat.history.transfer.importing`, `chat.api.sessions.schemas`, `chat.api.sessions.transfers`,
`chat.api.sessions.views`, `chat.history.transfer.files`, `chat.history.transfer.page`, `chat.history.transfer.reading`,
`chat.history.transfer.records`, `chat.history.transfer.storing`, `chat.management.commands.export_session` and
`chat.management.commands.import_session`.
"""

import base64
import json
from html.parser import HTMLParser
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from chat.engine.model_port import Finished, TokensUsed, ToolCall
from chat.models import Message, Run, Session
from chat.providers.scripted import Scripted, text
from storage.reader import read
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start

STOP = Finished(reason="stop")
USED = TokensUsed(input_tokens=7, output_tokens=2)
CALLS = Finished(reason="tool_calls")
LISTING = ToolCall(call_id="l", name="fs.list", arguments="{}")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
PICTURE = {"media_type": "image/png", "data_base64": base64.b64encode(PNG).decode()}
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) ![y](https://evil.example/p.png) \x1b[31m **bold**"
HEAD = {"type": "session", "title": "A title"}
SAID = {"type": "message", "role": "user", "content": "Hi"}


async def conversation(api: Api) -> str:
    """Make a session with a picture, a tool, and texts that try to be more than text. Return its id."""
    first = await api.ask(message=HOSTILE, attachments=[PICTURE])
    session: str = first.headers["X-Session-Id"]
    await api.ask(message="And then?", session_id=session)
    return session


def model() -> Scripted:
    return Scripted(
        [text(HOSTILE), LISTING, USED, CALLS], [text("Done."), USED, STOP], [text("More."), USED, STOP],
        [text("Again."), USED, STOP], [text("Again."), USED, STOP],
    )  # fmt: skip


def lines(*records: Any) -> bytes:
    return b"\n".join(json.dumps(record).encode() for record in records)


async def send(api: Api, data: bytes, kind: str = "application/jsonl", **headers: str) -> Any:
    return await api.call(
        "POST", "/chat/sessions/import", data=BytesIO(data), headers={"Content-Type": kind, **headers}
    )


BAD: list[tuple[bytes, str]] = [
    (b"", "line 1"),
    (b"{", "line 1"),
    (b"\xff", "line 1"),
    (lines(SAID), "line 1: the first line must be the session"),
    (lines(HEAD, HEAD), "line 2"),
    (lines({**HEAD, "version": 2}), "version"),
    (lines({**HEAD, "metadata": {"a": "x" * 20_000}}), "metadata"),
    (lines(HEAD, {**SAID, "role": "system"}), "role"),
    (lines(HEAD, {"type": "message", "role": "user"}), "content"),
    (lines(HEAD, {**SAID, "tool_calls": [{"call_id": "a", "name": "x", "arguments": "{}"}]}), "tool_calls"),
    (lines(HEAD, {**SAID, "role": "assistant", "pictures": [{"media_type": "x", "data": ""}]}), "pictures"),
    (lines(HEAD, {**SAID, "pictures": [{"media_type": "image/png", "data": "aGk="}]}), "PNG"),
    (lines(HEAD, SAID, {**SAID, "role": "summary", "summarizes": [[0, 1]]}), "summarizes"),
    (lines(HEAD, SAID, {**SAID, "summarizes": [[0, 0]]}), "summary"),
    (lines(HEAD, *[SAID] * 20_001), "20000"),
]


@pytest.mark.parametrize(("data", "named"), BAD)
async def test_file_that_is_no_session_stores_nothing(start: Start, data: bytes, named: str) -> None:
    api = await start(Scripted())
    answer = await send(api, data)
    assert (answer.status, named in answer.json()["error"]) == (422, True), answer.body
    assert await Session.objects.acount() == 0


async def test_other_refusals(start: Start, make_key: MakeKey) -> None:
    alice, bob = [await make_key(name, "chat") for name in ("alice", "bob")]
    api = await start(model())
    said = await api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=alice.headers)
    session = said.headers["X-Session-Id"]
    assert (await send(api, lines(HEAD), "text/plain", **alice.headers)).status == 415
    for method, path, status in (
        ("GET", f"{uuid4()}/export", 404),
        ("GET", f"{session}/export?format=pdf", 422),
        ("POST", f"{uuid4()}/fork", 404),
    ):
        options: dict[str, Any] = {"json": {}} if method == "POST" else {}
        answer = await api.call(method, f"/chat/sessions/{path}", headers=alice.headers, **options)
        assert answer.status == status
    for method, path in (("GET", "export"), ("POST", "fork")):
        options = {"json": {}} if method == "POST" else {}
        answer = await api.call(method, f"/chat/sessions/{session}/{path}", headers=bob.headers, **options)
        assert answer.status == 404
    unstored = await start(Scripted(), stored=False)
    assert (await send(unstored, lines(HEAD), **alice.headers)).code == "not_stored"


async def test_exported_session_is_imported_as_it_was(start: Start) -> None:
    scripted = model()
    api = await start(scripted)
    session = await conversation(api)
    file = await api.call("GET", f"/chat/sessions/{session}/export")
    assert file.headers["Content-Type"].startswith("application/jsonl")
    made = (await send(api, file.body)).json()
    assert made["id"] != session
    assert (await api.call("GET", f"/chat/sessions/{made['id']}/export")).body.split(b"\n")[1:] == file.body.split(
        b"\n"
    )[1:]
    # The conversation continues, and the model reads the same messages.
    await api.ask(message="Go on.", session_id=session)
    await api.ask(message="Go on.", session_id=made["id"])
    assert scripted.requests[-1].messages == scripted.requests[-2].messages


async def test_fork_continues_independently(start: Start) -> None:
    scripted = model()
    api = await start(scripted)
    session = await conversation(api)
    items = (await api.get(f"/chat/sessions/{session}/messages"))["items"]
    body = {"up_to": items[3]["id"], "title": "A branch"}
    fork = (await api.call("POST", f"/chat/sessions/{session}/fork", json=body)).json()
    assert (fork["title"], fork["active_run"]) == ("A branch", None)
    copied = (await api.get(f"/chat/sessions/{fork['id']}/messages"))["items"]
    names = ("role", "content", "tool_calls", "call_id", "tool", "usage", "attachments")
    assert [[one[name] for name in names] for one in copied] == [[one[name] for name in names] for one in items[:4]]
    await api.ask(message="Other.", session_id=fork["id"])
    assert (await api.get(f"/chat/sessions/{session}/messages"))["count"] == len(items)
    run = await Run.objects.aget(session=fork["id"], status="completed", options__has_key="forked_from")
    assert run.options["forked_from"] == session


async def test_summary_stands_for_the_same_messages_in_a_copy(start: Start) -> None:
    api = await start(Scripted([text("And?"), STOP]))
    summary = {"type": "message", "role": "summary", "content": "Earlier.", "summarizes": [[0, 1]]}
    said = [SAID, {**SAID, "role": "assistant", "content": "Hello."}, summary, {**SAID, "content": "New"}]
    first = (await send(api, lines(HEAD, *said))).json()["id"]
    again = (await send(api, (await api.call("GET", f"/chat/sessions/{first}/export")).body)).json()["id"]
    for session in (first, again):
        rows = [row async for row in Message.objects.filter(session=session).order_by("id")]
        assert rows[2].summarizes == [[rows[0].id, rows[1].id]]


class Tags(HTMLParser):
    """The tags of a page, and the addresses that they name."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]
        self.links += [value or "" for name, value in attrs if name == "href"]
        assert not any(name.startswith("on") for name, _ in attrs)


async def test_page_shows_hostile_texts_as_text(start: Start) -> None:
    api = await start(model())
    session = await conversation(api)
    await api.call("PATCH", f"/chat/sessions/{session}", json={"title": "</title><script>x</script>"})
    file = await api.call("GET", f"/chat/sessions/{session}/export?format=html")
    assert file.headers["Content-Disposition"].startswith("attachment")
    page = Tags()
    page.feed(file.body.decode())
    assert "script" not in page.tags
    # Nothing is loaded from elsewhere, and a link is followed by the reader only.
    assert [source[:11] for source in page.sources] == ["data:image/"]
    assert {link[:8] for link in page.links} == {"https://"}
    assert "<strong>bold</strong>" in file.body.decode()


async def test_archived_session_is_left_out_of_the_list(start: Start) -> None:
    api = await start(model())
    session = await conversation(api)
    changed = await api.call("PATCH", f"/chat/sessions/{session}", json={"archived": True})
    assert changed.json()["archived"] is True
    assert (await api.get("/chat/sessions"))["count"] == 0
    assert [one["id"] for one in (await api.get("/chat/sessions?archived=true"))["items"]] == [session]


async def test_commands_write_and_read_the_same_file(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api = await start(model())
    session = await conversation(api)
    file = tmp_path / "chat.jsonl"
    await read(call_command, "export_session", session, f"--output={file}")
    assert file.read_bytes() == (await api.call("GET", f"/chat/sessions/{session}/export")).body
    with pytest.raises(CommandError, match="File exists"):
        await read(call_command, "export_session", session, f"--output={file}")
    with pytest.raises(CommandError, match="no session"):
        await read(call_command, "export_session", str(uuid4()))
    out = TextIOWrapper(BytesIO(), "utf-8")
    monkeypatch.setattr("sys.stdout", out)
    await read(call_command, "export_session", session, "--format=html")
    assert out.buffer.getvalue().startswith(b"<!doctype html>")
    monkeypatch.undo()
    await read(call_command, "import_session", str(file), "--owner=user:7", "--json")
    assert json.loads(capsys.readouterr().out)["messages"] == 6
    assert await Session.objects.filter(owner="user:7").acount() == 1
    with pytest.raises(CommandError, match="cannot be read"):
        await read(call_command, "import_session", str(tmp_path / "none"))
