"""A synthesis whose key is revoked."""

import asyncio
from collections.abc import Callable

import aiohttp
import pytest

from speech.models import SpeechRequest
from speech.service import SpeechService
from tests.access.conftest import MakeKey, make_key, revoke
from tests.conftest import Start
from tests.speech.conftest import Make
from tests.speech.vendor import Reply, Vendor

__all__ = ("make_key",)

SECONDS = 5
"""Seconds in which everything that a revoked key holds open must end."""


async def test_audio_stream_is_aborted_when_its_key_is_revoked(
    start: Start, make: Make, fake: Vendor, use: Callable[[SpeechService], None], make_key: MakeKey
) -> None:
    use(make(("google", "local")))
    alice = await make_key("alice")
    api = await start()
    fake.play(Reply(headers={"Content-Type": "audio/mpeg"}, pieces=(b"\xff\xfb\x90\x00" * 64,), ending="silence"))
    body = {"text": "Hello.", "provider": "openai"}
    async with api.session.post(f"{api.base_url}/speech/synthesis", json=body, headers=alice.headers) as response:
        assert await response.content.readany()
        await revoke(alice)
        with pytest.raises(aiohttp.ClientPayloadError):
            async with asyncio.timeout(SECONDS):
                await response.read()
    await asyncio.wait_for(fake.left.wait(), SECONDS)
    assert (await SpeechRequest.objects.aget()).status == "cancelled"
