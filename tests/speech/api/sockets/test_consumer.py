"""`/ws/speech` over a real socket.

Covers `access.sockets.messages`, `speech.api.calls`, `speech.api.sockets.listening`, `speech.api.sockets.messages`,
`speech.api.sockets.speaking`, `web.storage_errors`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from asgiref.sync import sync_to_async
from pytest_django import Settings

from access.sockets import consumer as websocket
from speech.api.sockets import consumer as speech_socket
from speech.api.sockets import listening, speaking
from speech.base import SpeechError
from speech.models import SpeechRequest
from speech.service import SpeechService
from tests.access.conftest import MakeKey, revoke
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start
from tests.speech.conftest import Make
from tests.speech.recordings import accuracy, silence, tone
from tests.speech.scripted import Scripted, service_of

Socket = aiohttp.ClientWebSocketResponse
Use = Callable[[SpeechService], None]

RATE = 16_000
LISTEN = {"type": "listen", "rate": RATE}
SECONDS = 20


@pytest.fixture
def provider(use: Use) -> Scripted:
    scripted = Scripted()
    use(service_of(scripted))
    return scripted


@asynccontextmanager
async def connected(api: Api, **options: Any) -> AsyncIterator[Socket]:
    async with api.session.ws_connect(api.base_url.replace("http", "ws") + "/ws/speech", **options) as socket:
        yield socket


async def received(socket: Socket, kind: str, **fields: Any) -> list[Any]:
    """Return all messages up to the first one of a type that has these fields; audio as bytes."""
    found: list[Any] = []
    async with asyncio.timeout(SECONDS):
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                found.append(message.data)
                continue
            assert message.type is aiohttp.WSMsgType.TEXT, (message, found)
            found.append(json.loads(message.data))
            if found[-1]["type"] == kind and all(found[-1].get(name) == value for name, value in fields.items()):
                return found


async def refused(socket: Socket) -> tuple[int, str]:
    answer = (await received(socket, "refused"))[-1]
    assert answer["error"]
    return answer["status"], answer["code"]


async def send_audio(socket: Socket, samples: bytes, size: int = 3_200) -> None:
    for start in range(0, len(samples), size):
        await socket.send_bytes(samples[start : start + size])


async def rows(count: int) -> list[SpeechRequest]:
    """Return all rows in the order of their creation, once there are so many and none is open."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = await sync_to_async(lambda: list(SpeechRequest.objects.order_by("created", "id")))()
            if len(found) == count and all(row.status != "running" for row in found):
                return found
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ("not json", 400, "invalid_json"),
        ('{"type": "listen", "type": "listen"}', 400, "invalid_json"),
        ("[]", 422, "invalid_field"),
        ('{"type": "shout"}', 422, "invalid_field"),
        ('{"type": "listen", "rate": 7999}', 422, "invalid_field"),
        ('{"type": "listen", "more": 1}', 422, "invalid_field"),
        ('{"type": "listen", "provider": "nobody"}', 422, "unknown_provider"),
        ('{"type": "speak", "text": "Hi"}', 422, "invalid_field"),
        ('{"type": "speak", "answer": "a", "speed": 9}', 422, "invalid_field"),
        (json.dumps({"type": "speak", "answer": "a", "text": "a" * 10_001}), 422, "invalid_field"),
        ('{"type": "speak", "answer": "a", "text": "Hi.", "end": true, "format": "tape"}', 422, "unknown_format"),
        ('{"type": "stop"}', 409, "not_listening"),
        (bytes(2), 409, "not_listening"),
    ],
)
async def test_invalid_message_is_refused_and_the_socket_stays_open(
    start: Start, provider: Scripted, sent: str | bytes, status: int, code: str
) -> None:
    api = await start()
    async with connected(api) as socket:
        await (socket.send_bytes(sent) if isinstance(sent, bytes) else socket.send_str(sent))
        assert await refused(socket) == (status, code)
        await socket.send_json({"type": "stop_speaking", "ref": "r"})
        await received(socket, "done", ref="r")
    assert provider.received == []


async def test_key_is_needed_with_the_scope_of_speech(
    start: Start, provider: Scripted, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    chats, speaks = await make_key("chats", "chat"), await make_key("speaks", "speech")
    api = await start()
    for first in ('{"type": "listen"}', b"\0\0"):
        async with connected(api) as socket:
            await (socket.send_bytes(first) if isinstance(first, bytes) else socket.send_str(first))
            assert await refused(socket) == (401, "unauthorized")
    async with connected(api, protocols=["orchestrator", f"bearer.{chats.secret}"]) as socket:
        assert socket.protocol == "orchestrator"
        for message in (LISTEN, {"type": "speak", "answer": "a", "text": "Hi."}):
            await socket.send_json(message)
            assert await refused(socket) == (403, "scope")
    async with connected(api) as socket:
        await socket.send_json({"type": "auth", "key": speaks.secret})
        await socket.send_json({"type": "speak", "answer": "a", "text": "Hi. There."})
        await received(socket, "sentence")
        await revoke(speaks)
        await received(socket, "refused", code="key_revoked")
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == websocket.UNAUTHORIZED
    monkeypatch.setattr(websocket, "AUTH_SECONDS", 0.05)
    async with connected(api) as socket:
        assert await refused(socket) == (401, "unauthorized")


async def test_disabled_speech_is_refused(start: Start, use: Use) -> None:
    service = service_of(Scripted())
    service.disabled = "ENABLE_SPEECH is false"
    use(service)
    api = await start()
    async with connected(api) as socket:
        for message in (LISTEN, {"type": "speak", "answer": "a", "text": "Hi."}):
            await socket.send_json(message)
            assert await refused(socket) == (403, "disabled")
    await rows(0)


async def test_recording_over_a_limit_is_refused_once_until_the_next_listen(
    start: Start, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "MAX_UTTERANCE_SECONDS", 1.0)
    monkeypatch.setattr(listening, "MAX_UTTERANCES_WAITING", 1)
    api = await start()
    async with connected(api) as socket:
        for frame, answer in ((b"\0", (422, "invalid_audio")), (bytes(65_538), (413, "audio_too_large"))):
            await socket.send_json(LISTEN)
            for _ in range(3):
                await socket.send_bytes(frame)
            assert await refused(socket) == answer
        await socket.send_json(LISTEN)
        await received(socket, "done")
        await socket.send_json(LISTEN)
        assert await refused(socket) == (409, "already_listening")
        await send_audio(socket, tone(1.5, RATE))
        found = await received(socket, "transcript", final=True)
        assert [each["code"] for each in found if each["type"] == "refused"] == ["audio_too_long"]
        assert found[-1]["utterance"] == 1

        provider.gate.clear()
        await socket.send_json(LISTEN)
        await send_audio(socket, (tone(0.2, RATE) + silence(1.0, RATE)) * 3)
        assert await refused(socket) == (429, "too_many_waiting")
        provider.gate.set()
        await received(socket, "transcript", utterance=3, final=True)
    assert {row.status for row in await rows(3)} == {"succeeded"}


async def test_silence_is_not_transcribed_and_an_idle_socket_is_closed(
    start: Start, provider: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_socket, "IDLE_SECONDS", 0.2)
    api = await start()
    async with connected(api) as socket:
        await socket.send_json(LISTEN)
        await send_audio(socket, silence(2.0, RATE))
        await socket.send_json({"type": "stop"})
        assert [each["type"] for each in await received(socket, "done", action="stop")] == ["done", "done"]
        assert await refused(socket) == (408, "idle")
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    assert provider.received == []
    await rows(0)


async def test_failure_of_a_provider_is_reported_for_its_utterance_and_its_answer(
    start: Start, provider: Scripted
) -> None:
    provider.failure = SpeechError("it is down", code="provider_unavailable", retryable=True)
    api = await start()
    async with connected(api) as socket:
        await socket.send_json(LISTEN)
        await send_audio(socket, tone(0.3, RATE) + silence(1.0, RATE))
        failed = (await received(socket, "refused"))[-1]
        assert (failed["status"], failed["code"], failed["utterance"]) == (502, "provider_unavailable", 1)
        await socket.send_json({"type": "speak", "answer": "a", "text": "One. Two. Three"})
        found = await received(socket, "speech_stopped")
        assert (found[-2]["code"], found[-2]["answer"]) == ("provider_unavailable", "a")
        assert (found[-1]["reason"], found[-1]["sentences"]) == ("failed", 0)
        assert found[-1]["discarded"] == ["One.", "Two.", "Three"]
        await socket.send_json({"type": "speak", "answer": "a", "text": "Four."})
        assert await refused(socket) == (409, "answer_discarded")
        provider.failure = None
        await send_audio(socket, tone(0.3, RATE) + silence(1.0, RATE))
        assert (await received(socket, "transcript", final=True))[-1]["utterance"] == 2
    assert [row.status for row in await rows(3)] == ["failed", "failed", "succeeded"]


async def test_client_that_leaves_in_the_middle_leaves_no_open_row_and_no_task(
    start: Start, provider: Scripted
) -> None:
    provider.gate.clear()
    api = await start()
    async with connected(api) as socket:
        await socket.send_json({**LISTEN, "barge_in": False})
        await send_audio(socket, tone(1.5, RATE))
        await socket.send_json({"type": "speak", "answer": "a", "text": "One. Two."})
        async with asyncio.timeout(SECONDS):
            while not (provider.received and provider.spoken):
                await asyncio.sleep(0.01)
    assert [row.status for row in await rows(2)] == ["cancelled", "cancelled"]
    async with asyncio.timeout(SECONDS):
        while any("Consumer" in str(task.get_coro()) for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)


async def test_utterances_are_transcribed_while_they_are_spoken(start: Start, provider: Scripted) -> None:
    api = await start()
    async with connected(api) as socket:
        await socket.send_json({**LISTEN, "ref": "l"})
        await received(socket, "done", ref="l")
        await send_audio(socket, silence(1.0, RATE) + tone(1.2, RATE))
        found = await received(socket, "transcript", final=False)
        assert [each["type"] for each in found] == ["speech_started", "transcript"]
        await send_audio(socket, tone(0.5, RATE))
        await socket.send_json({"type": "stop"})
        final = (await received(socket, "transcript", final=True))[-1]
        assert (final["utterance"], final["provider"], final["cost_usd"]) == (1, "scripted", 0.0)
    # The beginning of a word is kept, and the silence before it is not sent.
    assert provider.received[-1] == pytest.approx((1.7 + listening.PRE_ROLL_SECONDS) * RATE * 2, abs=3_200)
    (row,) = await rows(1)
    assert (row.operation, row.status, row.audio_bytes) == ("transcription", "succeeded", provider.received[-1])


async def test_vendor_is_asked_once_for_an_utterance(start: Start, use: Use) -> None:
    vendor = Scripted(leaves_machine=True)
    use(service_of(vendor))
    api = await start()
    async with connected(api) as socket:
        await socket.send_json(LISTEN)
        await send_audio(socket, tone(3.0, RATE))
        await socket.send_json({"type": "stop"})
        found = await received(socket, "transcript")
    assert found[-1]["final"] is True
    assert len(vendor.received) == 1


async def test_answer_is_spoken_in_sentences_while_its_text_arrives(start: Start, provider: Scripted) -> None:
    api = await start()
    async with connected(api) as socket:
        for piece in ("First sen", "tence. Second", " one! --- \n\n"):
            await socket.send_json({"type": "speak", "answer": "a", "text": piece, "format": "wav"})
        # All of these: what comes before a refusal would be passed over.
        found = await received(socket, "sentence", sentence=3)
        await socket.send_json({"type": "speak", "answer": "b", "text": "Other."})
        assert await refused(socket) == (409, "already_speaking")
        await socket.send_json({"type": "speak", "answer": "a", "text": "Third", "end": True})
        found += await received(socket, "spoken")
    sentences = [each for each in found if isinstance(each, dict) and each["type"] == "sentence"]
    audio = [each for each in found if isinstance(each, bytes)]
    assert [each["text"] for each in sentences] == ["First sentence.", "Second one!", "---", "Third"]
    assert [each["sentence"] for each in sentences] == [1, 2, 3, 4]
    assert [each["bytes"] for each in sentences][-len(audio) :] == [len(each) for each in audio][-len(sentences) :]
    assert {each["mime"] for each in sentences} == {"audio/wav"}
    assert all(each.startswith(b"RIFF") for each in audio)
    assert found[-1] == {"type": "spoken", "answer": "a", "sentences": 4}
    assert {row.operation for row in await rows(4)} == {"synthesis"}


@pytest.mark.parametrize("reason", ["stop_speaking", "speech"])
async def test_interrupted_answer_says_how_far_it_was_spoken(
    start: Start, provider: Scripted, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr(speaking, "MAX_AHEAD_SECONDS", 0.0)
    monkeypatch.setattr(speaking, "MAX_WAITING_CHARACTERS", 100)
    api = await start()
    async with connected(api) as socket:
        await socket.send_json(LISTEN)
        text = "This is a long first sentence. Second. Third. An unfin"
        await socket.send_json({"type": "speak", "answer": "a", "text": text})
        await received(socket, "sentence", sentence=1)
        await socket.send_json({"type": "speak", "answer": "a", "text": "x" * 100})
        assert await refused(socket) == (429, "too_many_waiting")
        if reason == "speech":
            await send_audio(socket, tone(0.2, RATE))
        else:
            await socket.send_json({"type": "stop_speaking"})
        stopped = (await received(socket, "speech_stopped"))[-1]
        assert (stopped["answer"], stopped["reason"], stopped["sentences"]) == ("a", reason, 1)
        assert stopped["discarded"] == ["Second.", "Third.", "An unfin"]
        await socket.send_json({"type": "speak", "answer": "b", "text": "Next.", "end": True})
        await received(socket, "spoken", answer="b")
    assert provider.spoken == ["This is a long first sentence.", "Next."]


async def test_budget_and_rate_apply_to_each_utterance(
    start: Start, use: Use, make_key: MakeKey, settings: Settings
) -> None:
    use(service_of(Scripted(leaves_machine=True)))
    poor = await make_key("poor", "speech", budgets=["1usd/month"], rate="3/minute")
    api = await start()
    async with connected(api, headers=poor.headers) as socket:
        await socket.send_json(LISTEN)
        for code in ("price_unknown", "price_unknown", "rate_limited"):
            await send_audio(socket, tone(0.3, RATE) + silence(1.0, RATE))
            assert (await received(socket, "refused"))[-1]["code"] == code
    assert [row.code for row in await rows(2)] == ["price_unknown", "price_unknown"]


async def test_local_models_transcribe_and_speak(start: Start, make: Make, use: Use) -> None:
    use(make(("openai", "google")))
    api = await start()
    said = "The quick brown fox jumps over the lazy dog."
    async with connected(api) as socket:
        await socket.send_json({"type": "speak", "answer": "a", "text": said, "end": True, "format": "pcm"})
        found = await received(socket, "spoken")
        samples = next(each for each in found if isinstance(each, bytes))
        await socket.send_json({**LISTEN, "rate": 24_000})
        await send_audio(socket, silence(0.5) + samples)
        partial = (await received(socket, "transcript", final=False))[-1]
        await send_audio(socket, silence(1.5))
        final = (await received(socket, "transcript", final=True))[-1]
    assert accuracy(said, partial["text"]) > 0.2
    assert accuracy(said, final["text"]) >= 0.85
