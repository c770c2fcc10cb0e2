"""The dialects of services, and the quirks of each, over a real socket and in several segmentations.

`dialects/` has one file for each service. A quirk has what the service sends: the data of each of its `events`, or
`raw` bytes. It expects a text, reasoning, calls, usage (input, output, cached, reasoning) and an end. The end is a
finish reason, or the code of an error that `says` something.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.engine.messages import ToolCall, UserMessage
from chat.engine.model_port import CompletionRequest, Finished, ProviderError, Text, Thought, TokensUsed
from chat.engine.transcript import decode_pieces
from chat.providers.anthropic.provider import Anthropic
from chat.providers.base import Provider, Timeouts
from chat.providers.gemini.provider import Gemini
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.provider import OpenAI
from tests.fake_service import Reply, fake_service
from tools.base import ToolSpec

Json = dict[str, Any]
FILES = sorted((Path(__file__).parent / "dialects").glob("*.json"))
DIALECTS: dict[str, list[Json]] = {file.stem: json.loads(file.read_text()) for file in FILES}
TIMEOUTS = Timeouts(connect=5, first_byte=20, idle=20)
TOOLS = tuple(ToolSpec(name=f"fs.{name}", description="d", parameters={"type": "object"}) for name in ("read", "list"))
REQUEST = CompletionRequest(model="m", messages=(UserMessage(text="Hello?"),), tools=TOOLS)
PIECE = 11


def made(dialect: str, url: str) -> Provider:
    if dialect == "anthropic":
        return Anthropic(api_key="sk-of-the-tests", base_url=url, default_model="m", timeouts=TIMEOUTS)
    if dialect == "gemini":
        return Gemini(api_key="sk-of-the-tests", base_url=url, default_model="m", timeouts=TIMEOUTS)
    return OpenAI(Endpoint(name=dialect, base_url=url), TIMEOUTS)


def replies(quirk: Json) -> Iterator[Reply]:
    """Yield the service's answer as one segment, event by event, and in small pieces."""
    if "status" in quirk:
        yield Reply(status=quirk["status"], pieces=[(quirk.get("raw") or quirk["events"][0]).encode()])
        return
    body = (quirk.get("raw") or "".join(f"data: {event}\n\n" for event in quirk["events"])).encode()
    small = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
    for pieces in ([body], re.split(rb"(?<=\n\n)", body)[:-1] or [body], small):
        yield Reply(headers={"Content-Type": "text/event-stream"}, pieces=pieces)


async def outcome(provider: Provider) -> Json:
    """Return what an answer of the service means, in the terms of the files."""
    pieces: list[bytes] = []
    found: Json = {"text": "", "reasoning": "", "calls": [], "usage": None, "end": "", "says": ""}
    try:
        async for event in provider.stream(REQUEST):
            if isinstance(event, Text):
                pieces += event.pieces
            elif isinstance(event, Thought):
                found["reasoning"] += event.text
            elif isinstance(event, ToolCall):
                found["calls"].append([event.name, event.arguments])
            elif isinstance(event, TokensUsed):
                counts = (event.input_tokens, event.output_tokens, event.cached_tokens, event.reasoning_tokens)
                found["usage"] = list(counts)
            else:
                assert isinstance(event, Finished)
                assert found["reasoning"] == (event.provider_parts.reasoning if event.provider_parts else "")
                found["end"] = event.reason
    except ProviderError as error:
        found |= {"end": error.code, "says": str(error)}
    return {**found, "text": decode_pieces(pieces)}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_quirk_of_a_service_has_its_meaning(dialect: str) -> None:
    wrong: list[Any] = []
    async with fake_service() as fake:
        provider = made(dialect, fake.url)
        for quirk in DIALECTS[dialect]:
            expected = {"text": "", "reasoning": "", "calls": []} | quirk["expect"]
            words = expected.pop("says", "")
            for number, reply in enumerate(replies(quirk)):
                fake.play(reply)
                found = await outcome(provider)
                if words not in found["says"] or any(found[name] != value for name, value in expected.items()):
                    wrong.append((quirk["quirk"], number, found))
        await provider.close()
    assert wrong == []


def test_list_of_quirks_covers_the_services_of_the_settings_and_has_no_duplicate() -> None:
    quirks = [quirk["quirk"] for quirks in DIALECTS.values() for quirk in quirks]
    assert len(set(quirks)) == len(quirks) >= 60
    usual = {"openai", "azure", "anthropic", "gemini", "openrouter", "groq", "deepseek", "mistral", "xai", "ollama"}
    assert DIALECTS.keys() >= usual | {"vllm", "llama_cpp", "lm_studio"}
