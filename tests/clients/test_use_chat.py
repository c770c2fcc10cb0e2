"""`useChat` of the AI SDK in a real browser: streams, reloads, approvals, a tool of the page, and a stop."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from chat.engine.model_port import Finished, TokensUsed, ToolCall
from chat.models import Run
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.clients.conftest import EXAMPLES, bundled, serve
from tests.clients.conftest import page as page
from tests.conftest import Api, Start

pytestmark = pytest.mark.slow

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
USED = TokensUsed(input_tokens=7, output_tokens=2)
WRITE = ToolCall(call_id="w", name="fs.write", arguments='{"path": "from-page.txt", "content": "x"}')
TITLE = ToolCall(call_id="t", name="page_title", arguments="{}")


async def open_chat(page: Page, api: Api, folder: Path, key: str) -> None:
    await bundled("use_chat/page.jsx", folder / "page.js")
    origin = await serve(page, api, {"index.html": EXAMPLES / "use_chat" / "index.html", "page.js": folder / "page.js"})
    await page.goto(f"{origin}?base={api.base_url}")
    await page.get_by_label("Key").fill(key)


async def say(page: Page, message: str) -> None:
    await page.get_by_label("Message").fill(message)
    await page.get_by_role("button", name="Send").click()


async def test_page_streams_continues_after_a_reload_and_stops(
    start: Start, make_key: MakeKey, page: Page, tmp_path: Path
) -> None:
    gate, never = asyncio.Event(), asyncio.Event()
    model = Scripted([text("Bon"), gate.wait, text("jour"), USED, STOP], [text("Long"), never.wait, STOP])
    api = await start(model)
    key = await make_key("page", "chat", "tools")
    await open_chat(page, api, tmp_path, key.secret)
    await say(page, "Hi")
    answer = page.locator("article[data-role=assistant]")
    await expect(answer).to_contain_text("Bon")
    await page.reload()
    await expect(answer).to_contain_text("Bon")
    gate.set()
    await expect(answer).to_contain_text("Bonjour")
    await expect(page.locator("output")).to_have_text("ready")
    await say(page, "More")
    await expect(answer.last).to_contain_text("Long")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("output")).to_have_text("ready")
    assert [run.reason async for run in Run.objects.order_by("created")] == ["completed", "cancelled"]


async def test_page_decides_after_a_reload_and_runs_its_own_tool(
    start: Start, make_key: MakeKey, page: Page, tmp_path: Path
) -> None:
    model = Scripted(
        [WRITE, USED, CALLS], [TITLE, USED, CALLS], [text("Written."), USED, STOP],
        [WRITE, USED, CALLS], [text("Then not."), USED, STOP],
    )  # fmt: skip
    api = await start(model, policy="ask fs.write")
    key = await make_key("page", "chat", "tools", "approve")
    await open_chat(page, api, tmp_path, key.secret)
    await say(page, "Write it.")
    await expect(page.get_by_role("button", name="Approve")).to_be_visible()
    await page.reload()
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator("article[data-role=assistant]")).to_contain_text("Written.")
    assert model.requests[2].messages[-1].content == "useChat"
    await say(page, "Again.")
    await page.get_by_role("button", name="Deny").click()
    await expect(page.locator("article").last).to_contain_text("output-denied")
    await expect(page.locator("article").last).to_contain_text("Then not.")
