"""Approvals at the terminal, over a socket and inside the process.

Covers `chat.client.approval`, `chat.client.operator_access`.
"""

import asyncio
from typing import Any

import pytest

from chat.client.approval import MAX_LINES, ApprovalQuestion
from chat.client.conversation import ChatDefaults, Conversation
from chat.client.rendering import Span
from chat.client.transport import Item, Verdict
from chat.engine.model_port import Finished, ToolCall
from chat.providers.scripted import Scripted, text
from tests.chat.client.conftest import HttpTo, To
from tests.conftest import Start
from tools.resources import workspaces

WRITE = ToolCall(call_id="1", name="fs.write", arguments='{"path": "asked.txt", "content": "a\\nb"}')
SCRIPT = ([WRITE, Finished(reason="tool_calls")], [text("Done."), Finished(reason="stop")])


@pytest.mark.parametrize(("verdict", "written"), [("approve", True), ("deny", False)])
async def test_decision_of_the_user_continues_the_run(
    start: Start, transport_to: To, verdict: Verdict, written: bool
) -> None:
    seen: list[Item] = []

    async def decide(execution: Item) -> Verdict:
        seen.append(execution)
        return verdict

    api = await start(Scripted(*SCRIPT), policy="ask fs.write")
    (workspaces().root.base / "asked.txt").unlink(missing_ok=True)
    spans: list[Span] = []
    conversation = Conversation(transport_to(api), spans.append, ChatDefaults(), decide=decide)
    assert await asyncio.wait_for(conversation.turn("Write"), 20) == "completed"
    assert seen[0]["params"] == {"path": "asked.txt", "content": "a\nb"}
    assert (workspaces().root.base / "asked.txt").exists() is written


async def test_question_is_withdrawn_when_the_decision_comes_from_elsewhere(start: Start, http_to: HttpTo) -> None:
    asked: asyncio.Queue[Item] = asyncio.Queue()
    withdrawn = False

    async def decide(execution: Item) -> None:
        nonlocal withdrawn
        await asked.put(execution)
        try:
            await asyncio.Event().wait()
        finally:
            withdrawn = True

    api = await start(Scripted(*SCRIPT), policy="ask fs.write")
    transport = http_to(api.base_url)
    conversation = Conversation(transport, lambda _: None, ChatDefaults(), decide=decide)
    turn = asyncio.create_task(conversation.turn("Write"))
    execution = await asyncio.wait_for(asked.get(), 20)
    await transport.decide(str(execution["id"]), "deny", str(execution["params_sha256"]))
    assert await asyncio.wait_for(turn, 20) == "completed"
    assert withdrawn


@pytest.mark.parametrize(
    ("params", "answers", "verdict"),
    [
        ({"path": "a"}, ["y"], "approve"),
        ({"path": "a"}, ["", "what?", "NO"], "deny"),
        ({"path": "a"}, [], None),
        # What has not been shown cannot be approved.
        ({"content": "line\n" * (MAX_LINES + 5)}, ["y", "yes", "m", "y"], "approve"),
        ({"content": "line\n" * (MAX_LINES + 5)}, ["y", "n"], "deny"),
    ],
)
async def test_answers_are_understood(params: Any, answers: list[str], verdict: Verdict | None) -> None:
    spans: list[Span] = []

    async def ask(_: str) -> str:
        if not answers:
            raise EOFError
        return answers.pop(0)

    decided = await ApprovalQuestion(ask, spans.append).decide({"tool": "fs.write", "params": params})
    assert (decided, answers) == (verdict, [])


async def test_question_names_the_texts_from_outside() -> None:
    spans: list[Span] = []

    async def ask(_: str) -> str:
        return "n"

    await ApprovalQuestion(ask, spans.append).decide({"tool": "a.b", "params": {}, "taint": {"web": "web.fetch"}})
    assert spans[1].text == "   The conversation holds texts from outside: web (web.fetch)\n"


async def test_params_are_shown_line_by_line_without_control_characters() -> None:
    spans: list[Span] = []

    async def ask(_: str) -> str:
        return "n"

    params = {"path": "a\x1b[2K.txt", "content": "one\ntwo\r", "count": 3}
    await ApprovalQuestion(ask, spans.append).decide({"tool": "fs.write", "params": params})
    shown = "".join(span.text for span in spans)
    assert shown.splitlines()[1:] == [
        "   path: a\\x1b[2K.txt", "   content:", "      one", "      two\\r", "   count: 3"
    ]  # fmt: skip
