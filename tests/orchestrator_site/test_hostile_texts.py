"""Hostile text in everything that a caller can send: line breaks, ANSI codes, markup, and bidirectional controls.

No log line and no page of the console contains any of it unescaped.
"""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from urllib.parse import quote

import aiohttp
import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse

from chat.engine.messages import ToolCall
from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from orchestrator_site.logging import JsonLines, TextLines
from storage.reader import read
from tests.conftest import Api, Start

MARK = "zq9"
HOSTILE = (
    f"{MARK}\nFAKE line\r\n\x1b[31m{MARK}\x1b]0;title\x07\x9b2J<script>{MARK}()</script>"
    f"<img src=x onerror={MARK}>\u202e&\u2028"
)
"""The hostile text in JSON, which accepts every character."""

IN_HEADER = f"{MARK}\x9b31m<script>{MARK}()</script>\x85\xad"
"""The hostile text in an HTTP header: Latin-1, without ASCII control characters."""

RAW = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u202e\u2028]|<script>{MARK}|<img src=x")
STOP = Finished(reason="stop")
PASSWORD = "correct horse battery"


def broken(**_: object) -> None:
    raise RuntimeError(HOSTILE)


async def everything_hostile(api: Api) -> None:
    """Send the hostile text in every field that accepts it."""
    calls = [{"name": HOSTILE[:128], "params": {HOSTILE: HOSTILE}}, {"name": "fs.read", "params": {"path": HOSTILE}}]
    chat = {"message": HOSTILE, "instructions": HOSTILE, "user": HOSTILE, "metadata": {HOSTILE: [HOSTILE]}}
    first = await api.ask({**chat, "tool_calls": calls})
    assert first.status == 200, first.body
    session = first.headers["X-Session-Id"]
    await api.call("PATCH", f"/chat/sessions/{session}", json={"title": HOSTILE, "metadata": {HOSTILE: HOSTILE}})
    for field in ("model", "provider", "session_id", "on_disconnect", "tools", "attachments", "temperature", HOSTILE):
        await api.ask({"message": "a", field: HOSTILE})
    await api.ask({"message": "a", "attachments": [{"path": HOSTILE}]})
    await api.ask({"message": "a", "attachments": [{"media_type": HOSTILE, "data_base64": HOSTILE}]})
    await api.call("POST", "/chat/stream", data=HOSTILE.encode(), headers={"Content-Type": "application/json"})
    for name in ("Idempotency-Key", "User-Agent", "Last-Event-ID", "Referer", "Accept", "Cookie", "X-Made-Up"):
        await api.call("POST", "/chat/stream", json={"message": "a"}, headers={name: IN_HEADER})
    for name in ("Origin", "Host", "Authorization", "X-API-Key", "X-Forwarded-For", "Content-Type"):
        await api.call("POST", "/chat/stream", data=b"{}", headers={name: IN_HEADER})
    evil = quote(HOSTILE, safe="")
    for path in (f"/{evil}", f"/chat/runs/{evil}", f"/static/{evil}", f"/admin/{evil}", f"/docs/{evil}"):
        await api.call("GET", path, allow_redirects=False)
    for path in ("/tools/executions?status=", "/usage?group_by=", "/chat/sessions?limit=", "/admin/login/?next="):
        await api.call("GET", path + evil)
    await api.call("POST", "/speech/synthesis", json={"text": HOSTILE, "provider": HOSTILE, "voice": HOSTILE})
    form = aiohttp.FormData()
    form.add_field("file", b"no audio", filename="zq9<script>.wav", content_type="audio/wav")
    form.add_field("language", HOSTILE)
    await api.call("POST", "/speech/transcriptions", data=form)
    async with api.session.ws_connect(f"{api.base_url}/ws/chat") as socket:
        for message in ({"type": HOSTILE}, {"type": "chat", "message": HOSTILE, "ref": HOSTILE[:128]}, [HOSTILE]):
            await socket.send_json(message)
        await asyncio.wait_for(socket.receive(), 5)


async def served(start: Start) -> Api:
    """Start a service whose model is hostile, too."""
    calls = [ToolCall(call_id=HOSTILE, name=HOSTILE, arguments=HOSTILE), Finished(reason="tool_calls")]
    said = json.dumps(HOSTILE)[1:-1]
    return await start(Scripted(calls, *[[text(said), STOP]] * 60))


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
async def test_hostile_text_is_escaped_in_every_log_line(
    start: Start, caplog: pytest.LogCaptureFixture, level: str
) -> None:
    api = await served(start)
    with caplog.at_level(level):
        await everything_hostile(api)
    own = [record for record in caplog.records if not record.name.startswith("asyncio")]
    assert len(own) > 30
    for record in own:
        line = JsonLines().format(record)
        assert not RAW.search(line), repr(line)
        assert "\n" not in line
        json.loads(line)
        first, *further = TextLines().format(record).split("\n")
        assert not RAW.search(first), repr(first)
        assert not any(RAW.search(line) or not line.startswith("    | ") for line in further)
    assert any(MARK in JsonLines().format(record) for record in own)


@pytest.mark.parametrize("formatter", [JsonLines, TextLines])
def test_hostile_text_is_escaped_in_tracebacks_and_library_logs(formatter: type[JsonLines | TextLines]) -> None:
    try:
        broken()
    except RuntimeError as error:
        record = logging.LogRecord(
            HOSTILE, 40, "a.py", 1, "%s was sent", (HOSTILE,), (type(error), error, error.__traceback__)
        )
    record.__dict__.update({"field": HOSTILE, "list": [HOSTILE], "mapping": {HOSTILE: HOSTILE}})
    formatted = formatter().format(record)
    assert MARK in formatted
    for line in formatted.split("\n"):
        assert not RAW.search(line), repr(line)
    assert not re.search(r"^FAKE", formatted, re.MULTILINE)


async def test_hostile_text_is_escaped_in_the_console(start: Start) -> None:
    api = await served(start)
    await everything_hostile(api)
    await read(lambda: User.objects.create_superuser("op", password=PASSWORD))
    pages = await read(lambda: list(pages_of_the_console()))
    assert len(pages) > 15
    seen = 0
    async with aiohttp.ClientSession(api.base_url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        await sign_in(browser)
        for path in pages:
            async with browser.get(path) as answer:
                assert answer.status == 200, path
                page = await answer.text()
                found = RAW.search(page)
                assert not found, (path, page[max(0, found.start() - 200) : found.end() + 100] if found else "")
                seen += MARK in page
    assert seen > 10


def pages_of_the_console() -> Iterator[str]:
    """Return every list, with a filter and a search, and the page of every row."""
    yield reverse("admin:index")
    for model in (model for model in apps.get_models() if admin.site.is_registered(model)):
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        listed = reverse(f"{name}_changelist")
        yield listed
        yield f"{listed}?q={MARK}%3Cscript%3E{MARK}"
        for row in model._default_manager.all()[:20]:
            yield reverse(f"{name}_change", args=[row.pk])


async def sign_in(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/admin/login/") as answer:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', await answer.text())
    assert token
    form = {"username": "op", "password": PASSWORD, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
    async with browser.post("/admin/login/", data=form) as answer:
        assert "Log out" in await answer.text()
