"""Talking and listening in the playground, with Chromium's fake microphone and a scripted speech provider."""

import asyncio
import re

import pytest
from playwright.async_api import expect

from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from speech import conf
from tests.browser import Open
from tests.conftest import Start
from tests.playground.conftest import answers, send, visit
from tests.speech.scripted import Scripted as ScriptedSpeech
from tests.speech.scripted import service_of

STOP = Finished(reason="stop")


async def test_message_is_spoken_and_the_answer_is_read_aloud(
    start: Start, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    speech = ScriptedSpeech()
    monkeypatch.setattr(conf, "service", lambda: service_of(speech))
    rest = asyncio.Event()
    script = [
        text("Read **this** first. ", "\n\n```python\ncode()\n```\n"),
        rest.wait,
        text("Then [that](https://a.example)"),
        STOP,
    ]
    api = await start(Scripted(script, [text("Stay. ", "Silent. "), asyncio.Event().wait]))
    page = await open_page()
    await visit(page, api.base_url)
    message = page.get_by_label("Message", exact=True)
    talk, aloud = page.get_by_role("button", name="Talk"), page.get_by_role("button", name="Read aloud")
    await talk.click()
    await expect(talk).to_have_attribute("aria-pressed", "true")
    # The fake microphone beeps.
    await expect(page.locator("#caption")).to_contain_text("take")
    await talk.click()
    await expect(message).to_have_value(re.compile(r"^take \d"))
    await expect(message).to_be_focused()

    await aloud.click()
    await send(page, "Go")
    await expect(answers(page)).to_contain_text("this")
    async with asyncio.timeout(20):
        while speech.spoken != ["Read this first.", "Code."]:
            await asyncio.sleep(0.02)
    rest.set()
    await expect(answers(page).get_by_role("link", name="that")).to_be_visible()
    async with asyncio.timeout(20):
        while speech.spoken[2:] != ["Then that"]:
            await asyncio.sleep(0.02)

    # An answer that is stopped is not spoken any further.
    speech.gate.clear()
    await send(page, "More")
    await expect(answers(page).nth(1)).to_contain_text("Silent.")
    async with asyncio.timeout(20):
        while "Stay." not in speech.spoken:
            await asyncio.sleep(0.02)
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("You stopped this answer.")).to_be_visible()
    await aloud.click()
    await expect(aloud).to_have_attribute("aria-pressed", "false")
    speech.gate.set()
    assert "Silent." not in speech.spoken
