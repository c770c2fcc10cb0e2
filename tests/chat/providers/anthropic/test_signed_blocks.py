"""Thinking goes back to the model that wrote it, byte for byte and in its place, and nowhere else.

Covers `chat.providers.anthropic.parts`, `chat.providers.anthropic.blocks`.
"""

import itertools
import json

import msgspec
import pytest

from chat.engine.limits import Limits
from chat.engine.loop import MessageAdded
from chat.engine.messages import Message, UserMessage
from chat.engine.model_port import Finished, ToolCall
from chat.engine.retry import Candidate
from chat.providers.anthropic.blocks import Block
from chat.providers.anthropic.provider import Anthropic
from chat.providers.base import Provider, Timeouts
from chat.providers.scripted import Scripted, text
from tests.chat.engine.test_loop import turn
from tests.chat.providers.fake_anthropic import SigningService
from tests.fake_service import fake_service
from tools.base import ToolSpec

READ = tuple(
    ToolSpec(name=name, description="Reads.", parameters={"type": "object"}) for name in ("read.one", "read.two")
)
LIMITS = Limits(
    max_seconds=60, max_steps=50, max_tool_calls=99, max_output_tokens=10_000_000, max_output_bytes=1_000_000
)


def candidate(provider: Provider, model: str) -> Candidate:
    return Candidate(provider=provider, model=model, context_tokens=100_000, supports_tools=True)


async def run(history: list[Message], question: str, *candidates: Candidate) -> str:
    """Ask in the conversation, add everything that is said to it, and return the reason of the end."""
    history.append(UserMessage(text=question))
    asked = turn(messages=tuple(history), candidates=candidates, tools=READ, limits=LIMITS, instructions="Be brief.")
    end = ""
    async for item in asked.run(lambda _: None):
        if isinstance(item, MessageAdded):
            # Messages are stored as JSON between two runs.
            stored = json.loads(msgspec.json.encode(item.message))
            history.append(msgspec.convert(stored, type(item.message)))
        end = getattr(item, "reason", "") or getattr(item, "error", "")
    return str(end)


async def test_signed_blocks_survive_a_fallback_and_a_switch_of_the_model() -> None:
    service = SigningService()
    async with fake_service(service):
        timeouts = Timeouts(connect=5, first_byte=9, idle=9)
        claude = Anthropic(api_key="k", base_url=service.url, default_model="a", timeouts=timeouts)
        history: list[Message] = []
        # The eighth request is refused twice, so another provider takes the rest of the run.
        service.steps, service.overloaded = 99, {8, 9}
        calling = [ToolCall(call_id="other:1", name="read.one", arguments=""), Finished(reason="tool_calls")]
        other = Scripted(calling, [text("Done."), Finished(reason="stop")])
        assert await run(history, "One?", candidate(claude, "a"), candidate(other, "m")) == "completed"
        assert service.signed == [0, 2, 4, 6, 8, 10, 12, 14, 14]
        for question, model, steps, kept in (("Two?", "a", 6, 14), ("Three?", "b", 5, 0), ("Four?", "a", 5, 24)):
            service.steps = steps
            service.signed.clear()
            assert await run(history, question, candidate(claude, model)) == "completed"
            assert service.signed == [kept + 2 * step for step in range(steps)]
        # None of it is valid behind another beginning.
        history[0] = UserMessage(text="Something else?")
        service.steps = 1
        service.signed.clear()
        assert await run(history, "Five?", candidate(claude, "a")) == "completed"
        assert service.signed == [0]
        await claude.close()


@pytest.mark.parametrize("thinking", ["a\x00b", "a\ud83d"])
def test_thinking_that_cannot_be_stored_as_it_came_is_not_sent_back(thinking: str) -> None:
    block = Block({"type": "thinking", "thinking": ""})
    block.added = {"thinking": [thinking], "signature": ["s"]}
    assert block.original() is None


async def test_run_of_twenty_steps_is_shortened_and_falls_back_to_another_model_of_the_service() -> None:
    service = SigningService()
    async with fake_service(service):
        timeouts = Timeouts(connect=5, first_byte=9, idle=9)
        claude = Anthropic(api_key="k", base_url=service.url, default_model="a", timeouts=timeouts)
        small = [msgspec.structs.replace(candidate(claude, model), context_tokens=900) for model in ("a", "b")]
        # The twelfth request is refused twice, so the other model takes the rest of the run.
        service.steps, service.overloaded = 20, {12, 13}
        history: list[Message] = []
        assert await run(history, "One?", *small) == "completed"
        assert [request.body["model"] for request in service.requests] == ["a"] * 13 + ["b"] * 9
        falls = [after < before for before, after in itertools.pairwise(service.signed[:13])]
        assert any(falls)
        # What is written behind the shortened conversation is kept again.
        assert falls[falls.index(True) + 1] is False
        # The other model gets nothing of the first, then all of its own.
        assert service.signed[13:16] == [0, 2, 4]
        service.steps = 5
        service.signed.clear()
        assert await run(history, "Two?", small[0]) == "completed"
        assert service.signed[-1] > 0
        await claude.close()
