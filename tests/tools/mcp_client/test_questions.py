"""Questions of MCP servers during a call, which wait for a decision; those that no decision answers first.

Covers `tools.mcp_client.questions`.
"""

import asyncio
from functools import partial
from typing import Any

import pytest
from mcp import types

from storage.writer import writer
from tests.tools.execution.test_executor import asking, executor, opened
from tests.tools.mcp_client.fake import DEADLINE, Fake, running, text_result
from tests.tools.mcp_client.test_connection import ERAS
from tools import conf
from tools.approvals import decisions
from tools.base import Failed, Output, Succeeded
from tools.mcp_client.connection import MAX_QUESTIONS, list_tools
from tools.mcp_client.questions import QUESTION, answer_to
from tools.mcp_client.tools import PinnedServer
from tools.models import ToolExecution

pytestmark = pytest.mark.django_db(transaction=True)

SCHEMA = {
    "type": "object",
    "properties": {
        "sure": {"type": "boolean"},
        "how": {"type": "string", "default": "gently"},
        "why": {"type": "string"},
    },
    "required": ["sure"],
}


@pytest.mark.parametrize(
    ("properties", "required", "answer"),
    [
        ({}, [], {}),
        (SCHEMA["properties"], ["sure", "how"], {"sure": True, "how": "gently"}),
        ({"sure": {"type": "boolean", "default": False}}, [], {"sure": False}),
        ({"name": {"type": "string"}}, ["name"], None),
        ({"a": {"type": "string", "default": "x" * 2_000}}, [], None),
        ({"a": {"type": "string", "default": "\u202e"}}, [], None),
        ({"a": {"type": "string", "default": {"b": 1}}}, [], None),
        ({"a": {"type": "array", "default": ["b"]}}, [], {"a": ["b"]}),
        ({"a": "boolean"}, [], None),
        ({"a": {"type": "boolean"}}, "a", None),
        (7, [], None),
    ],
)
def test_approval_answers_flags_and_defaults_only(properties: Any, required: Any, answer: Any) -> None:
    assert answer_to({"properties": properties, "required": required}) == answer


def question(fake: Fake, schema: Any = SCHEMA) -> None:
    """Make the server ask during a call, in the way of its protocol, and return the answer."""

    async def ask(context: Any, arguments: dict[str, Any]) -> Any:
        message = "Delete the-house-secret \u202e?"
        if fake.legacy:
            answer = await context.session.elicit_form(message, schema)
            return text_result(f"{answer.action} {answer.content}")
        given = fake.calls[-1].get("responses")
        if given:
            return text_result(f"{given['q'].action} {given['q'].content}")
        params = types.ElicitRequestFormParams(message=message, requested_schema=schema)
        return types.InputRequiredResult(input_requests={"q": types.ElicitRequest(params=params)}, request_state="s")

    fake.handler = ask


async def called(fake: Fake, **changes: Any) -> Any:
    server = fake.entry(**changes)
    (tool,) = PinnedServer(server, await list_tools(server)).tools()
    async with asyncio.timeout(DEADLINE):
        return await opened(executor(tool, policy="allow mcp.*"), asking('{"text": "x"}', name="mcp.fake.echo"))


async def decided(verdict: decisions.Verdict) -> ToolExecution:
    """Wait for the question, and decide it."""
    row = await waiting()
    await writer.write(partial(decisions.decide, row.id, verdict, by="op", params_sha256=row.params_sha256))
    return row


async def waiting() -> ToolExecution:
    async with asyncio.timeout(DEADLINE):
        while True:
            row = await ToolExecution.objects.filter(tool=QUESTION, decision="").afirst()
            if row is not None:
                return row
            await asyncio.sleep(0.02)


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the service know the secret of the question."""
    masker = type(conf.masker())(["the-house-secret"])
    monkeypatch.setattr(conf, "masker", lambda: masker)


@ERAS
async def test_question_that_no_decision_answers_is_declined_at_once(legacy: str) -> None:
    async with running(legacy=legacy) as fake:
        question(fake, {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})
        done = (await called(fake))[-1]
        assert isinstance(done, Succeeded)
        assert done.data["text"].startswith("decline None\n\nThe server asked for input, which was declined: Delete")
        assert await ToolExecution.objects.filter(tool=QUESTION).acount() == 0


@ERAS
@pytest.mark.parametrize(
    ("verdict", "text", "status"),
    [
        ("approved", "accept {'sure': True, 'how': 'gently'}", "succeeded"),
        ("denied", "decline None\n\nThe server asked for input, which was declined: Delete", "denied"),
    ],
)
async def test_decision_is_the_answer(
    legacy: str, verdict: decisions.Verdict, text: str, status: str, masked: None
) -> None:
    async with running(legacy=legacy) as fake:
        question(fake)
        # The server is silent while its question waits.
        calling = asyncio.create_task(called(fake, silence_seconds=0.5))
        row = await decided(verdict)
        steps = await calling
        assert row.params == {
            "server": "fake", "message": "Delete [secret] \ufffd?", "answer": {"sure": True, "how": "gently"}
        }  # fmt: skip
        assert row.taint == {"mcp": "mcp.fake"}
        assert str(row.id) in "".join(step.text for step in steps if isinstance(step, Output))
        assert isinstance(steps[-1], Succeeded)
        assert steps[-1].data["text"].startswith(text)
        await row.arefresh_from_db()
        assert (row.status, row.decision, row.decided_by, row.ended is not None) == (status, verdict, "op", True)
        assert len(fake.calls) == (1 if legacy else 2)


@ERAS
@pytest.mark.parametrize("end", ["cancelled", "timed out"])
async def test_question_of_a_call_that_ends_is_withdrawn(legacy: str, end: str) -> None:
    async with running(legacy=legacy) as fake:
        question(fake)
        limits = {"total_seconds": 1, "silence_seconds": 1} if end == "timed out" else {}
        calling = asyncio.create_task(called(fake, **limits))
        row = await waiting()
        if end == "cancelled":
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
        else:
            failed = (await calling)[-1]
            assert isinstance(failed, Failed)
            assert failed.code == "timed_out"
        await row.arefresh_from_db()
        assert (row.status, row.decision) == ("cancelled", "cancelled")
        with pytest.raises(decisions.DecisionRefused):
            await writer.write(partial(decisions.decide, row.id, "approved", by="op", params_sha256=None))


async def test_question_that_expires_is_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "approval_seconds", lambda: 0.2)
    async with running(legacy="2025-11-25") as fake:
        question(fake)
        done = (await called(fake))[-1]
        assert "decline None" in done.data["text"]
        row = await ToolExecution.objects.aget(tool=QUESTION)
        assert (row.status, row.decision) == ("denied", "expired")


async def test_questions_of_one_call_are_bounded() -> None:
    async with running(legacy="2025-11-25") as fake:

        async def ask(context: Any, arguments: dict[str, Any]) -> Any:
            answers = await asyncio.gather(*(context.session.elicit_form("Sure?", SCHEMA) for _ in range(50)))
            return text_result(" ".join(answer.action for answer in answers))

        fake.handler = ask
        calling = asyncio.create_task(called(fake))
        for _ in range(MAX_QUESTIONS):
            await decided("approved")
        done = (await calling)[-1]
        assert done.data["text"].split("\n")[0].split().count("accept") == MAX_QUESTIONS
        assert await ToolExecution.objects.filter(tool=QUESTION).acount() == MAX_QUESTIONS


async def test_server_that_asks_without_end_is_given_up() -> None:
    async with running() as fake:

        async def ask(context: Any, arguments: dict[str, Any]) -> Any:
            params = types.ElicitRequestFormParams(
                message="Again?",
                requested_schema={"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            )
            return types.InputRequiredResult(
                input_requests={"q": types.ElicitRequest(params=params)}, request_state="s"
            )

        fake.handler = ask
        failed = (await called(fake))[-1]
        assert isinstance(failed, Failed)
        assert "The server asks for input before it continues" in failed.error
        assert len(fake.calls) == 5
