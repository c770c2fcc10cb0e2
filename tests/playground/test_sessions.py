"""Sessions in the playground: rename and delete, several tabs, and what happens while one is opened."""

import asyncio

from playwright.async_api import Route, expect

from chat.engine.messages import ToolCall
from chat.engine.model_port import Finished
from chat.models import Session
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey, revoke
from tests.browser import SIZES, Open, serious_findings
from tests.conftest import Start
from tests.playground.conftest import answers, send, visit

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")


async def test_session_is_renamed_and_deleted_with_the_keyboard(start: Start, open_page: Open) -> None:
    api = await start(Scripted([text("One."), STOP], [text("Two."), STOP]))
    page = await open_page(*SIZES[1], is_refused=True)
    await visit(page, api.base_url)
    await send(page, "First")
    await expect(answers(page)).to_contain_text("One.")
    await page.evaluate("window.isSame = true")
    sessions = page.get_by_role("navigation")
    rename = sessions.get_by_role("button", name="Rename First")
    await rename.focus()
    await page.keyboard.press("Enter")
    title = page.get_by_role("dialog", name="Rename the session").get_by_label("Title")
    await expect(title).to_be_focused()
    await expect(title).to_have_value("First")
    assert await serious_findings(page) == []
    await page.keyboard.type("  <b>Kept\u202e</b> ")
    await page.keyboard.press("Enter")
    await expect(sessions.get_by_role("link", name="<b>Kept\\u202e</b>")).to_be_visible()
    await expect(sessions.get_by_role("button", name="Rename <b>Kept")).to_be_focused()
    assert (await Session.objects.aget()).title == "<b>Kept\u202e</b>"

    dialog = page.get_by_role("dialog", name="Delete this session?")
    delete = sessions.get_by_role("button", name="Delete <b>Kept")
    await delete.focus()
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    assert await serious_findings(page) == []
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(delete).to_be_focused()
    assert await Session.objects.acount() == 1
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Your conversations appear here.")).to_be_visible()
    await expect(page.get_by_role("heading", name="What shall the agent do?")).to_be_visible()
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await expect(page.locator("#announcements")).to_have_text("The session was deleted.")
    assert not await Session.objects.aexists()
    assert "#" not in page.url
    assert await page.evaluate("window.isSame")
    await send(page, "Second")
    await expect(answers(page)).to_contain_text("Two.")


async def test_refused_deletion_leaves_the_session_and_says_why(start: Start, open_page: Open) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("Long"), gate.wait, text("er."), STOP]))
    page = await open_page(is_refused=True)
    await visit(page, api.base_url)
    await send(page, "Work")
    await expect(answers(page)).to_contain_text("Long")
    await page.get_by_role("button", name="Delete Work").click()
    dialog = page.get_by_role("dialog", name="Delete this session?")
    await dialog.get_by_role("button", name="Delete").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("session_busy")
    await dialog.get_by_role("button", name="Cancel").click()
    gate.set()
    await expect(answers(page)).to_contain_text("Longer.")


async def test_message_that_is_sent_while_a_session_is_opened_keeps_its_answer(start: Start, open_page: Open) -> None:
    api = await start(Scripted([text("One."), STOP], [text("Two."), STOP]))
    page = await open_page()
    await visit(page, api.base_url)
    await send(page, "First")
    await expect(answers(page)).to_contain_text("One.")
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        asked.set()
        await may_answer.wait()
        await route.continue_()

    await page.route("**/messages?*", late)
    await page.reload()
    await asked.wait()
    await send(page, "Second")
    may_answer.set()
    await expect(answers(page).nth(1)).to_contain_text("Two.")
    await expect(page.get_by_label("Your message")).to_have_text(["First", "Second"])
    await expect(answers(page)).to_have_count(2)


async def test_tab_shows_a_run_of_another_tab_that_has_ended(start: Start, open_page: Open) -> None:
    api = await start(Scripted([text("One."), STOP], [text("Two."), STOP]))
    page = await open_page()
    await visit(page, api.base_url)
    await send(page, "First")
    await expect(answers(page)).to_contain_text("One.")
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    session = await Session.objects.aget()
    await api.ask(message="Elsewhere", session_id=str(session.pk))
    await page.evaluate("() => dispatchEvent(new Event('focus'))")
    await expect(page.get_by_label("Your message")).to_have_text(["First", "Elsewhere"])
    await expect(answers(page).nth(1)).to_contain_text("Two.")


async def test_decision_shows_all_of_a_long_param(start: Start, open_page: Open) -> None:
    patch = "*** Begin Patch\\n*** Add File: a.txt\\n" + "+x\\n" * 3_000 + "+the end\\n*** End Patch"
    long = "y" * 70_000 + " the end"
    script = [
        ToolCall(call_id="p", name="fs.apply_patch", arguments=f'{{"patch": "{patch}"}}'),
        ToolCall(call_id="w", name="fs.write", arguments=f'{{"path": "b.txt", "content": "{long}"}}'),
        CALLS,
    ]
    api = await start(Scripted(script, [text("Done."), STOP]), policy="ask write source=model")
    page = await open_page()
    await visit(page, api.base_url)
    await send(page, "Write")
    for tool in ("fs.apply_patch", "fs.write"):
        approval = page.get_by_label(f"Approval of {tool}")
        await expect(approval.locator("pre").last).to_contain_text("the end")
        await approval.get_by_role("button", name="Deny").click()
    await expect(answers(page)).to_contain_text("Done.")


async def test_answer_ends_when_its_key_is_revoked_and_no_other_is_given(
    start: Start, open_page: Open, make_key: MakeKey
) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("Part"), gate.wait, STOP]))
    key = await make_key("ann")
    page = await open_page(is_refused=True)
    await page.goto(api.base_url)
    dialog = page.get_by_role("dialog", name="Key")
    # A typographic quote, as a word processor makes it, could not be sent in a header.
    await page.locator("#key").fill(f"\u201c{key.secret}")
    await page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("The key has a character that no key has.")
    await page.locator("#key").fill(key.secret)
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await send(page, "Hi")
    answer = answers(page)
    await expect(answer).to_contain_text("Part")
    await revoke(key)
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(answer).not_to_have_attribute("aria-busy", "true")
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    gate.set()
