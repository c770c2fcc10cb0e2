"""The console in a real browser, with a live service behind it."""

import asyncio
from itertools import product
from typing import Final

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Page, expect

from audit.models import AuditEntry
from chat.engine.model_port import Finished, TokensUsed, ToolCall
from chat.models import Run
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.browser import SCHEMES, SIZES, Open, serious_findings
from tests.browser import open_page as open_page
from tests.chat.admin.staff import log_in, staff
from tests.conftest import Api, Start
from tools.models import ToolExecution

STOP: Final = Finished(reason="stop")
CALLS: Final = Finished(reason="tool_calls")
USED: Final = TokensUsed(input_tokens=7, output_tokens=2)
HOSTILE: Final = "<img src=x onerror=alert(1)><script>alert(2)</script> \x1b[31mred \u202etxt.exe"


def write(call_id: str, path: str, content: str = "x") -> ToolCall:
    return ToolCall(call_id=call_id, name="fs.write", arguments=f'{{"path": "{path}", "content": "{content}"}}')


async def opened(open_page: Open, api: Api, path: str) -> Page:
    page = await open_page()
    await log_in(page, api, await sync_to_async(staff)())
    await page.goto(api.base_url + path)
    return page


async def test_operator_watches_a_run_to_its_end_without_a_reload(
    start: Start, open_page: Open, make_key: MakeKey
) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("It is **now**"), gate.wait, text(f" done. {HOSTILE}"), USED, STOP]))
    page = await opened(open_page, api, "/admin/")
    await expect(page.locator("#console-state")).to_have_text("Live")
    await expect(page.get_by_text("Nothing runs.")).to_be_visible()
    asking = asyncio.create_task(api.ask(message="Watch me"))
    row = page.get_by_role("row").filter(has_text="Watch me")
    await expect(row).to_contain_text("Running")
    await row.locator("a").first.click()
    live = page.locator("#live-answer")
    await expect(live).to_have_text("It is **now**")
    await page.evaluate("window.isSame = true")
    # A change elsewhere reads the page again, and loses nothing of the answer. The second reading follows the first.
    for name in ("one", "two"):
        async with page.expect_response(lambda response: "/change/" in response.url):
            await make_key(name)
    assert await live.text_content() == "It is **now**"
    gate.set()
    await expect(page.locator("#run .facts")).to_contain_text("Completed")
    answer = page.locator(".entry-assistant .prose")
    await expect(answer.locator("strong")).to_have_text("now")
    await expect(answer).to_contain_text("<script>alert(2)</script> \\x1b[31mred \\u202etxt.exe")
    await expect(live).to_be_hidden()
    assert await page.evaluate("window.isSame")
    assert await page.locator("img").count() == 0
    await asking


async def test_operator_approves_denies_cancels_and_undoes(start: Start, open_page: Open) -> None:
    never = asyncio.Event()
    model = Scripted(
        [write("a", "approved.txt", "old"), USED, CALLS], [write("b", "denied.txt"), USED, CALLS],
        [text("Both."), USED, STOP],
        [text("Long"), never.wait, STOP],
    )  # fmt: skip
    api = await start(model, policy="ask fs.write")
    page = await opened(open_page, api, "/admin/")
    asking = asyncio.create_task(api.ask(message="Write two files"))
    await page.get_by_role("row").filter(has_text="approved.txt").locator("a").last.click()
    await expect(page.locator(".audit-decision")).to_contain_text("approved.txt")
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator(".audit-decision")).to_contain_text("denied.txt")
    await page.get_by_label("Note").fill("Not this one.")
    await page.get_by_role("button", name="Deny").click()
    await expect(page.locator("#run .facts")).to_contain_text("Completed")
    await expect(page.locator("#run-changes")).to_contain_text("approved.txt created")
    assert [row.decided_by async for row in ToolExecution.objects.order_by("created")] == ["op", "op"]
    assert "Not this one." in model.requests[2].messages[-1].content
    await page.get_by_role("button", name="Undo").click()
    await expect(page.locator(".messagelist")).to_have_text("1 file restored (undo).")
    await page.get_by_role("button", name="Make them again").click()
    await expect(page.locator(".messagelist")).to_have_text("1 file restored (redo).")
    await asking
    asking = asyncio.create_task(api.ask(message="Take long"))
    await page.goto(f"{api.base_url}/admin/")
    await page.get_by_role("row").filter(has_text="Take long").locator("a").first.click()
    await expect(page.locator("#live-answer")).to_have_text("Long")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#run .facts")).to_contain_text("Cancelled")
    await asking
    kinds = [kind async for kind in AuditEntry.objects.filter(actor="op").values_list("kind", flat=True)]
    assert {"run.undo", "run.redo", "run.cancelled"} <= {*kinds}
    assert [run.status async for run in Run.objects.order_by("created")] == ["completed", "cancelled"]


async def test_first_row_of_an_empty_list_appears_above_the_number_of_rows(start: Start, open_page: Open) -> None:
    api = await start(Scripted([text("One"), USED, STOP]))
    page = await opened(open_page, api, "/admin/chat/run/")
    await expect(page.locator("#console-state")).to_have_text("Live")
    await expect(page.locator(".paginator")).to_have_text("0 runs")
    await api.ask(message="First")
    await expect(page.locator("#result_list tbody tr")).to_have_count(1)
    await expect(page.locator(".paginator")).to_have_text("1 run")


async def test_change_elsewhere_leaves_the_focus_and_a_typed_note(
    start: Start, open_page: Open, make_key: MakeKey
) -> None:
    model = Scripted([write("a", "a.txt"), USED, CALLS], [text("Not written."), USED, STOP])
    api = await start(model, policy="ask fs.write")
    page = await opened(open_page, api, "/admin/")
    asking = asyncio.create_task(api.ask(message="Write a file"))
    await page.get_by_role("row").filter(has_text="a.txt").locator("a").last.click()
    await expect(page.locator("#console-state")).to_have_text("Live")
    await page.get_by_label("Note").fill("Not this one.")
    await page.keyboard.press("Tab")
    deny = page.get_by_role("button", name="Deny")
    await expect(deny).to_be_focused()
    # The second reading of the page follows the first.
    for name in ("one", "two"):
        async with page.expect_response(lambda response: "/change/" in response.url):
            await make_key(name)
    await expect(deny).to_be_focused()
    await expect(page.get_by_label("Note")).to_have_value("Not this one.")
    await page.keyboard.press("Enter")
    await expect(page.locator("#run .facts")).to_contain_text("Completed")
    assert (await ToolExecution.objects.aget()).note == "Not this one."
    # What a person closed stays so, although the page opens a call that failed.
    card = page.locator("details.card").filter(has_text="fs.write")
    await expect(card).to_have_attribute("open", "")
    await card.locator("summary").first.click()
    async with page.expect_response(lambda response: "/change/" in response.url):
        await make_key("three")
    async with page.expect_response(lambda response: "/change/" in response.url):
        await make_key("four")
    await expect(card).not_to_have_attribute("open", "")
    await asking


async def test_page_that_lost_its_connection_shows_what_it_missed(start: Start, open_page: Open) -> None:
    api = await start(Scripted([text("One"), USED, STOP], [text("Two"), USED, STOP]))
    await api.ask(message="First")
    page = await opened(open_page, api, "/admin/chat/run/")
    await expect(page.locator("#console-state")).to_have_text("Live")
    await page.context.set_offline(True)
    await page.evaluate("window.isSame = true")
    await api.ask(message="Second")
    await page.context.set_offline(False)
    await expect(page.locator("#result_list tbody tr")).to_have_count(2)
    assert await page.evaluate("window.isSame")


@pytest.mark.slow
async def test_every_page_is_accessible_at_each_size_in_each_scheme(start: Start, open_page: Open) -> None:
    model = Scripted(
        [write("a", "page.txt"), USED, CALLS], [text("# Done\n\n- [link](https://example.com)"), USED, STOP]
    )
    api = await start(model)
    await api.ask(message="Write **it**\n\n```\ncode\n```")
    run = await Run.objects.aget()
    execution = await ToolExecution.objects.aget()
    user = await sync_to_async(staff)()
    paths = [
        "/admin/", "/admin/chat/", "/admin/chat/session/", f"/admin/chat/session/{run.session_id}/change/",
        "/admin/chat/run/",
        f"/admin/chat/run/{run.pk}/change/", "/admin/tools/toolexecution/?status__exact=succeeded&q=one",
        f"/admin/tools/toolexecution/{execution.pk}/change/", "/admin/access/apikey/", "/admin/access/apikey/add/",
        "/admin/spending/use/", "/admin/audit/auditentry/", "/admin/auth/user/",
    ]  # fmt: skip
    found = []
    page = await open_page()
    await log_in(page, api, user)
    for path, scheme in product(paths, SCHEMES):
        # Before the page is loaded: colours of links change gradually.
        await page.emulate_media(color_scheme=scheme)
        await page.goto(api.base_url + path)
        for width, height in SIZES:
            await page.set_viewport_size({"width": width, "height": height})
            found += [f"{width} {scheme} {path}: {finding}" for finding in await serious_findings(page)]
            if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append(f"{width} {path}: the page is wider than the window")
    assert not found, "\n".join(found)
