"""Conversations in the playground. Covers `playground.views`."""

import asyncio

from playwright.async_api import expect
from pytest_django import Settings

from chat.engine.messages import ToolCall
from chat.engine.model_port import Finished, Thought, TokensUsed
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.browser import SCHEMES, SIZES, Open, serious_findings
from tests.conftest import Start
from tests.playground.conftest import answers, send, visit, wired
from tools.resources import workspaces

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
ASK = "ask fs.write source=model"
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> \x1b[31mred \u202etxt.exe [me](javascript:alert(3))"
SHOWN = "<img src=x onerror=alert(1)><script>alert(2)</script> \\x1b[31mred \\u202etxt.exe me (javascript:alert(3))"


def write(path: str, content: str, call_id: str = "w") -> ToolCall:
    return ToolCall(call_id=call_id, name="fs.write", arguments=f'{{"path": "{path}", "content": "{content}"}}')


async def test_answer_continues_across_a_reload_and_a_lost_connection(start: Start, open_page: Open) -> None:
    reloaded, mended, end, last = asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    script = [
        Thought("A greeting."),
        text("# Hel", "lo\n\n- one\n- **two**\n\n```python\nprint("),
        reloaded.wait,
        text("1)\n```\n"),
        mended.wait,
        text("The [end](https://example.org)."),
        end.wait,
        TokensUsed(input_tokens=1_200, output_tokens=34),
        STOP,
    ]
    api = await start(Scripted(script, [text("Again."), STOP], [text("A long "), last.wait, text("answer."), STOP]))
    page = await open_page(is_refused=True)
    answer = answers(page)
    async with wired(api.base_url) as wire:
        await visit(page, wire.url)
        await page.get_by_label("Reasoning").check()
        await send(page, "Hi")
        await expect(answer.get_by_role("heading", name="Hello")).to_be_visible()
        await expect(answer.locator("pre")).to_have_text("print(")
        await expect(answer.get_by_text("A greeting.")).to_be_hidden()
        await answer.get_by_text("Reasoning").click()
        await expect(answer.get_by_text("A greeting.")).to_be_visible()

        await page.reload()
        await expect(page.get_by_label("Your message")).to_have_text("Hi")
        await expect(answer.locator("pre")).to_have_text("print(")
        reloaded.set()
        await expect(answer.locator("pre")).to_have_text("print(1)")
        await expect(page.locator("#announcements")).to_be_empty()

        wire.cut()
        await expect(page.get_by_text("Reconnecting…")).to_be_visible()
        mended.set()
        wire.mend()
        await expect(answer.get_by_role("link", name="end")).to_have_attribute("rel", "noopener noreferrer")
        await expect(page.get_by_text("Reconnecting…")).to_be_hidden()
        end.set()
        await expect(answer.locator("footer")).to_contain_text("1,200 tokens in · 34 out · cost unknown")
        await expect(page.locator("#announcements")).to_contain_text("Answer: # Hello")
        await expect(answer.locator("pre")).to_have_text("print(1)")
        await send(page, "More")
        await expect(answer.nth(1)).to_contain_text("Again.")

        # A tab that does not know of the run of another one is refused, and follows that run.
        other = await open_page(is_refused=True)
        await visit(other, page.url)
        await expect(answers(other).nth(1)).to_contain_text("Again.")
        await send(page, "Wait")
        await expect(answer.nth(2)).to_contain_text("A long")
        await send(other, "Meanwhile")
        await expect(other.get_by_role("alert")).to_contain_text("session_busy")
        await other.get_by_role("button", name="Follow that run").click()
        await expect(answers(other).nth(2)).to_contain_text("A long")
        await expect(other.get_by_label("Message", exact=True)).to_have_value("Meanwhile")
        last.set()
        await expect(answers(other).nth(2)).to_contain_text("A long answer.")


async def test_tool_is_approved_and_another_denied_with_a_note(start: Start, open_page: Open) -> None:
    scripted = Scripted(
        [text("I write."), write("a.txt", "one\\n" * 1_500), CALLS],
        [write("b.txt", "two", "b"), CALLS],
        [ToolCall(call_id="r", name="terminal.exec", arguments='{"command": "ls"}'), CALLS],
        [text("Done."), STOP],
    )
    api = await start(scripted, policy=ASK)
    page, other = await open_page(), await open_page()
    await visit(page, api.base_url)
    await send(page, "Write")
    approval = page.get_by_label("Approval of fs.write")
    # The event has only the hash of so long a text, and the page shows all of it.
    await expect(approval.locator("pre")).to_have_text("one\n" * 1_500)
    await expect(page.locator("#announcements")).to_contain_text("waits for your approval of fs.write")
    await visit(other, page.url)
    await expect(other.get_by_label("Approval of fs.write").locator("pre")).to_contain_text("one")
    await approval.get_by_role("button", name="Approve").click()
    await expect(page.get_by_text("The call was approved.")).to_be_visible()
    await expect(page.get_by_label("Tool fs.write").first).to_contain_text("Done")
    second = page.get_by_label("Approval of fs.write").last
    await second.get_by_label("Note").fill("Not b.")
    await second.get_by_role("button", name="Deny").click()
    await expect(page.get_by_text("The call was denied: Not b.")).to_be_visible()
    await expect(page.get_by_label("Tool fs.write").nth(1)).to_contain_text("denied")
    await expect(page.get_by_label("Tool terminal.exec").get_by_label("Output")).to_contain_text("a.txt")
    for each in (page, other):
        await expect(answers(each).get_by_text("Done.")).to_be_visible()
    assert "Not b." in str(scripted.requests[2].messages)
    assert (workspaces().root.base / "a.txt").read_text() == "one\n" * 1_500
    assert not (workspaces().root.base / "b.txt").exists()

    await answers(page).get_by_text("1 changed file").click()
    await expect(answers(page).locator(".diff .added").first).to_contain_text("+one")
    await page.get_by_role("button", name="a.txt").click()
    await expect(page.get_by_role("heading", name="a.txt")).to_be_focused()
    await expect(page.locator("#file pre")).to_contain_text("one")
    await page.get_by_role("button", name="Undo these changes").click()
    again = page.get_by_role("button", name="Make these changes again")
    await expect(again).to_be_focused()
    assert not (workspaces().root.base / "a.txt").exists()
    await again.click()
    await expect(page.get_by_role("button", name="Undo these changes")).to_be_focused()
    assert (workspaces().root.base / "a.txt").exists()
    (workspaces().root.base / "a.txt").unlink()


async def test_refusals_are_shown_and_lose_no_message(
    start: Start, open_page: Open, make_key: MakeKey, settings: Settings
) -> None:
    key = await make_key("page", "chat", "fs.*", rate="12/minute")
    api = await start(Scripted([text("Hello."), STOP], [text("Bye"), asyncio.Event().wait]))
    page = await open_page(is_refused=True)
    await page.goto(api.base_url)
    dialog = page.get_by_role("dialog", name="Key")
    await expect(dialog).to_contain_text("unauthorized")
    await dialog.get_by_label("API key").fill("osk_wrong")
    await page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("unauthorized")
    await dialog.get_by_label("API key").fill(key.secret)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Missing scope: files.read")).to_be_visible()
    assert await page.evaluate("[localStorage.length, document.cookie, location.href.includes('osk_')]") == [
        0,
        "",
        False,
    ]

    message = page.get_by_label("Message", exact=True)
    await page.get_by_label("Reasoning").check()
    await send(page, "Think")
    await expect(page.get_by_role("alert").filter(has_text="Missing scope: reasoning")).to_be_visible()
    await expect(message).to_have_value("Think")
    await page.get_by_label("Reasoning").uncheck()
    await page.keyboard.press("Tab")
    await message.press("Enter")
    await expect(answers(page).get_by_text("Hello.")).to_be_visible()
    await send(page, "Again")
    await expect(answers(page).get_by_text("Bye")).to_be_visible()
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("You stopped this answer.")).to_be_visible()
    limited = page.get_by_role("alert").filter(has_text="rate_limited")
    while not await limited.count():
        await send(page, "Too often")
    await expect(limited.first).to_contain_text("You can retry in")
    await expect(message).to_have_value("Too often")


async def test_hostile_texts_stay_texts_and_the_keyboard_suffices(start: Start, open_page: Open) -> None:
    call = ToolCall(call_id="h", name="terminal.exec", arguments='{"command": "cat hostile.txt"}')
    (workspaces().root.base / "hostile.txt").write_text(HOSTILE)
    api = await start(Scripted([text(HOSTILE), call, CALLS], [text("**Safe**"), STOP], [text("Second."), STOP]))
    page = await open_page()
    await visit(page, api.base_url)
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await page.keyboard.type(HOSTILE.replace("\x1b", ""))
    await page.keyboard.press("Enter")
    await expect(answers(page).locator("strong")).to_have_text("Safe")
    await expect(answers(page).locator(".markdown").first).to_have_text(SHOWN)
    await expect(page.get_by_label("Output")).to_contain_text("\\x1b[31mred \\u202etxt.exe")
    assert await page.locator("img, main script, main a").count() == 1, "only the link of the welcome"
    # Back over the controls of the message to the file, with the keyboard only.
    await page.get_by_role("button", name="hostile.txt").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#file pre")).to_contain_text("<script>alert(2)</script> \\x1b[31m")
    first = page.url
    await page.get_by_role("link", name="New session").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="What shall the agent do?")).to_be_visible()
    await send(page, "Two")
    await expect(answers(page)).to_contain_text("Second.")
    assert page.url != first
    await page.get_by_role("navigation").get_by_role("link", name="<img src=x").focus()
    await page.keyboard.press("Enter")
    await expect(answers(page).locator("strong")).to_have_text("Safe")
    assert page.url == first
    await expect(page.get_by_label("Tool terminal.exec")).to_contain_text("Done")

    (workspaces().root.base / "hostile.txt").unlink()
    await page.get_by_label("Tool terminal.exec").locator("summary").click()
    for width, height in SIZES:
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            assert await serious_findings(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
    await page.get_by_role("button", name="Sessions").click()
    await page.get_by_role("link", name="New session").focus()
    assert await serious_findings(page) == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Sessions")).to_be_focused()


async def test_pictures_and_text_files_are_sent_with_a_message(start: Start, open_page: Open) -> None:
    scripted = Scripted([text("Seen."), STOP])
    api = await start(scripted)
    page = await open_page()
    await visit(page, api.base_url)
    # A PNG of one pixel, as the browser itself makes it.
    picture = await page.evaluate(
        "() => { const c = document.createElement('canvas'); c.width = c.height = 1;"
        " c.getContext('2d').fillRect(0, 0, 1, 1); return c.toDataURL().split(',')[1]; }"
    )
    await page.locator("#attach-input").set_input_files(
        [
            {"name": "big.txt", "mimeType": "text/plain", "buffer": b"x" * 300_000},
            {"name": "data.bin", "mimeType": "application/octet-stream", "buffer": b"\xff\xfe\x00"},
            {"name": "notes.md", "mimeType": "text/markdown", "buffer": b"```\nfenced\n```"},
        ]
    )
    await expect(page.get_by_text("At most 262.1 kB are possible.")).to_be_visible()
    await expect(page.get_by_text("data.bin is neither a picture nor a text in UTF-8.")).to_be_visible()
    await page.evaluate(
        """(data) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const files = new DataTransfer();
          files.items.add(new File([bytes], "dot.png", {type: "image/png"}));
          const paste = new ClipboardEvent("paste", {clipboardData: files, bubbles: true, cancelable: true});
          document.querySelector("#message").dispatchEvent(paste);
        }""",
        picture,
    )
    await expect(page.get_by_role("list", name="Attached files")).to_contain_text("dot.png")
    await send(page, "Look")
    await expect(answers(page)).to_contain_text("Seen.")
    await expect(page.get_by_alt_text("Attached picture 1")).to_be_visible()
    (message,) = scripted.requests[0].messages
    assert message.text == "Look\n\nFile notes.md:\n````\n```\nfenced\n```\n````"
    assert len(message.images) == 1
