"""Covers `speech.api.audio_response`, `speech.api.errors`, `speech.api.parsing`, `speech.api.provider_listing`."""

import asyncio
import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import aiohttp
import openai
import pytest
from asgiref.sync import sync_to_async
from django.test import override_settings

from speech.models import SpeechRequest
from speech.service import SpeechService
from tests.conftest import Api, Start
from tests.speech.audio.test_decoding import in_container
from tests.speech.conftest import KEY, Make
from tests.speech.recordings import accuracy, long_silence, recording, silence
from tests.speech.vendor import Reply, Vendor, json_reply

Use = Callable[[SpeechService], None]

TEXT = "The quick brown fox jumps over the lazy dog."
LOCAL = ("openai", "google")
MP3 = {"Content-Type": "audio/mpeg"}


def form(audio: bytes, **fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData(fields)
    data.add_field("file", audio, filename="a.bin", content_type="application/octet-stream")
    return data


async def transcribed(api: Api, audio: bytes, **options: Any) -> Any:
    return await api.call("POST", "/speech/transcriptions", data=audio, **({"headers": MP3} | options))


async def row() -> SpeechRequest:
    """Return the only row."""
    async with asyncio.timeout(5):
        while (found := await sync_to_async(SpeechRequest.objects.get)()).status == "running":
            await asyncio.sleep(0.01)
    return found


@pytest.fixture
async def api(start: Start, make: Make, use: Use) -> Api:
    """Start a service with only the local models."""
    use(make(LOCAL))
    return await start()


@pytest.fixture
async def outward(start: Start, make: Make, use: Use) -> Api:
    """Start a service with every provider."""
    use(make())
    return await start()


async def test_recording_is_transcribed_and_text_is_synthesized(api: Api) -> None:
    spoken = await api.call("POST", "/speech/synthesis", json={"text": TEXT})
    assert spoken.status == 200
    assert spoken.headers["Content-Type"] == "audio/mpeg"
    assert spoken.headers["X-Speech-Provider"] == "local"
    assert "openai is not configured" in spoken.headers["X-Speech-Note"]
    raw = await transcribed(api, spoken.body)
    sent_as_form = await api.call("POST", "/speech/transcriptions", data=form(spoken.body, language="en", model=""))
    for transcript in (raw.json(), sent_as_form.json()):
        assert accuracy(TEXT, transcript["text"]) >= 0.85
        assert transcript["provider"] == "local"
        assert transcript["segments"][0]["end"] > 1


TYPES: list[tuple[str, str]] = [
    ("mp3", "audio/mpeg"),
    ("opus", "audio/ogg; codecs=opus"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
    ("wav", "audio/wav"),
    ("pcm", "audio/pcm; rate=24000"),
]


async def test_each_format_has_its_media_type(api: Api) -> None:
    for format_, mime in TYPES:
        spoken = await api.call("POST", "/speech/synthesis", json={"text": "Hello.", "format": format_, "speed": 2})
        assert (spoken.status, spoken.headers["Content-Type"]) == (200, mime)
        assert len(spoken.body) > 1_000


async def test_audio_is_sent_before_all_of_it_is_made(api: Api) -> None:
    body = {"text": "This is a sentence of a long text. " * 500, "format": "wav"}
    async with api.open(body, "/speech/synthesis") as response:
        assert await response.content.read(1)
    assert (await row()).status == "cancelled"


async def test_silence_is_an_empty_text(api: Api) -> None:
    transcript = await api.call(
        "POST",
        "/speech/transcriptions?format=pcm",
        data=silence(2.0),
        headers={"Content-Type": "audio/pcm"},
    )
    assert (transcript.status, transcript.json()["text"], transcript.json()["duration"]) == (200, "", 2.0)


async def test_field_names_of_openai_are_understood(api: Api) -> None:
    body = {"model": "tts-1", "input": "Hello.", "voice": "alloy", "response_format": "wav", "speed": 2}
    others = {"instructions": "Be glad.", "stream_format": "audio"}
    spoken = await api.call("POST", "/speech/synthesis", json=body | others)
    assert (spoken.status, spoken.headers["Content-Type"]) == (200, "audio/wav")
    fields = {"model": "whisper-1", "language": "en", "prompt": "Names. " * 300, "temperature": "0"}
    times = {"response_format": "verbose_json", "timestamp_granularities[]": "segment", "stream": "false"}
    received = await api.call("POST", "/speech/transcriptions", data=form(spoken.body, **fields, **times))
    assert received.status == 200
    assert {"text", "language", "duration", "segments"} <= set(received.json())


async def test_recording_of_any_container_and_media_type_is_transcribed(api: Api) -> None:
    audio = in_container("aiff", "pcm_s16be")
    for content_type in ("audio/x-aiff", "video/mp4", "application/octet-stream", "Application/Octet-Stream; a=b"):
        received = await transcribed(api, audio, headers={"Content-Type": content_type})
        assert (received.status, received.json()["duration"]) == (200, 1.0)


UNSAYABLE: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "invalid_field"),
    ({"text": 5}, 422, "invalid_field"),
    ({"text": "x", "input": "y"}, 422, "invalid_field"),
    ({"text": "x", "format": "mp3", "response_format": "wav"}, 422, "invalid_field"),
    ({"text": "x", "stream_format": "sse"}, 422, "invalid_field"),
    ({"text": "x", "voices": "alloy"}, 422, "invalid_field"),
    ({"text": "x", "speed": "fast"}, 422, "invalid_field"),
    ({"text": ""}, 422, "invalid_text"),
    ({"text": "x", "speed": 0}, 422, "invalid_speed"),
    ({"text": "x", "format": "midi"}, 422, "unknown_format"),
    ({"text": "x", "voice": "nobody"}, 422, "unknown_voice"),
    ({"text": "x", "model": "none"}, 422, "unknown_model"),
    ({"text": "x", "provider": "none"}, 422, "unknown_provider"),
    ({"text": "x", "provider": "openai"}, 422, "provider_not_configured"),
    ({"text": "x" * 100_000}, 413, "text_too_long"),
]


async def test_invalid_synthesis_is_rejected_before_the_first_byte(api: Api) -> None:
    for body, status, code in UNSAYABLE:
        answer = await api.call("POST", "/speech/synthesis", json=body)
        assert (answer.status, answer.json()["code"]) == (status, code), str(body)[:100]


UNHEARABLE: list[tuple[bytes, str, int, str]] = [
    (b"", "", 422, "invalid_audio"),
    (b"not audio", "", 422, "invalid_audio"),
    (recording("mp3")[:400], "", 422, "invalid_audio"),
    (recording("mp3"), "?language=de", 422, "unknown_language"),
    (recording("mp3"), "?model=whisper-9", 422, "unknown_model"),
    (recording("mp3"), "?provider=google", 422, "provider_not_configured"),
    (recording("mp3"), "?format=midi", 422, "unknown_format"),
    (recording("mp3"), "?response_format=srt", 422, "invalid_field"),
]


async def test_invalid_transcription_is_rejected(api: Api) -> None:
    for audio, query, status, code in (*UNHEARABLE, (long_silence(1.0), "", 413, "audio_too_long")):
        answer = await api.call("POST", f"/speech/transcriptions{query}", data=audio, headers=MP3)
        assert (answer.status, answer.json()["code"]) == (status, code), (audio[:20], query)


OTHER_KINDS: list[tuple[str, int]] = [
    ("application/json", 415),
    ("text/plain", 415),
    ("image/png", 415),
    ("multipart/form-data", 400),
    ("multipart/form-data; boundary=x", 400),
    ("multipart/form-data; boundary=" + "x" * 500, 400),
    ("multipart/mixed; boundary=x", 415),
]


async def test_body_of_another_media_type_is_rejected(api: Api) -> None:
    for content_type, status in OTHER_KINDS:
        answer = await transcribed(api, recording("mp3"), headers={"Content-Type": content_type})
        assert (answer.status, answer.json()["type"]) == (status, "error"), content_type


async def test_unknown_form_field_is_named(api: Api) -> None:
    answer = await api.call("POST", "/speech/transcriptions", data=form(recording("mp3"), seed="0"))
    assert (answer.status, answer.json()["detail"][0]["field"]) == (422, "seed")


async def test_body_over_the_limit_is_rejected(api: Api) -> None:
    with override_settings(MAX_BODY_BYTES=1_000, SPEECH_MAX_AUDIO_BYTES=1_024):
        assert (await transcribed(api, bytes(70_000))).status == 413


async def test_recording_may_be_larger_than_other_bodies(api: Api, settings: Any) -> None:
    settings.MAX_BODY_BYTES = 2_000
    settings.SPEECH_MAX_AUDIO_BYTES = 10**6
    assert (await transcribed(api, recording("mp3"))).status == 200
    assert (await api.call("POST", "/speech/synthesis", json={"text": "x" * 3_000})).status == 413


async def test_other_endpoints_accept_only_json(api: Api) -> None:
    answer = await api.call("POST", "/speech/synthesis", data=form(b"x"))
    assert answer.status == 415


async def test_key_is_required(api: Api) -> None:
    with override_settings(API_KEY="the-key-of-this-service"):
        for method, path in (("GET", "providers"), ("POST", "transcriptions"), ("POST", "synthesis")):
            assert (await api.call(method, f"/speech/{path}", json={"text": "x"})).status == 401


async def test_disabled_speech_is_reported(start: Start, make: Make, use: Use) -> None:
    service = make(LOCAL)
    service.disabled = "ENABLE_SPEECH is false"
    use(service)
    api = await start()
    for answer in (
        await api.call("POST", "/speech/synthesis", json={"text": "x"}),
        await transcribed(api, recording("mp3")),
    ):
        assert (answer.status, answer.json()["code"]) == (403, "disabled")
        assert "ENABLE_SPEECH is false" in answer.json()["error"]
    assert (await api.get("/speech/providers"))["enabled"] is False


async def test_providers_are_listed_with_their_capabilities(api: Api) -> None:
    listed = await api.get("/speech/providers")
    by_name = {item["name"]: item for item in listed["items"]}
    assert list(by_name) == ["openai", "google", "local"]
    assert by_name["openai"]["configured"] is False
    assert by_name["openai"]["reason"] == "its key is not set"
    assert by_name["openai"]["synthesis"]["default_voice"] == "alloy"
    assert by_name["local"]["configured"] is True
    assert by_name["local"]["leaves_machine"] is False
    assert by_name["local"]["transcription"]["languages"] == ["en"]
    assert by_name["local"]["synthesis"]["voices"] == {"hibari": ["heart"]}
    assert "webm" in by_name["google"]["transcription"]["formats"]


# Behaviour of vendors


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (401, (502, "provider_auth")),
        (400, (502, "provider_rejected")),
        (429, (503, "provider_rate_limited")),
        (500, (502, "provider_unavailable")),
        (504, (504, "provider_timeout")),
    ],
)
async def test_vendor_failure_is_mapped_to_a_status(
    outward: Api, fake: Vendor, status: int, refusal: tuple[int, str]
) -> None:
    fake.play(json_reply({"error": {"message": f"no, {KEY}"}}, status))
    answer = await outward.call("POST", "/speech/synthesis", json={"text": "x", "provider": "openai"})
    assert (answer.status, answer.json()["code"]) == refusal
    assert answer.json()["error"].startswith("openai: ")
    assert ("Retry-After" in answer.headers) == (answer.status == 503)
    assert KEY not in answer.body.decode()
    assert (await row()).error == f"openai: it answered {status}: no, [secret]"


async def test_broken_stream_is_aborted_and_not_ended(outward: Api, fake: Vendor) -> None:
    fake.play(Reply(pieces=(b"one" * 100,), ending="cut"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await outward.call("POST", "/speech/synthesis", json={"text": "x", "provider": "openai"})
    failed = await row()
    assert (failed.status, failed.provider) == ("failed", "openai")


async def test_disconnected_client_stops_the_vendor_request(outward: Api, fake: Vendor) -> None:
    fake.play(Reply(pieces=(b"one" * 100,), ending="silence"))
    async with outward.open({"text": "x", "provider": "openai"}, "/speech/synthesis") as response:
        await response.content.read(1)
    async with asyncio.timeout(5):
        await fake.left.wait()
    assert (await row()).status == "cancelled"


# Stored rows


async def test_call_is_stored_as_hashes_and_sizes(outward: Api, fake: Vendor) -> None:
    fake.play(Reply(pieces=(b"audio",)))
    await outward.call("POST", "/speech/synthesis", json={"text": "Hello.", "provider": "openai", "format": "wav"})
    kept = await row()
    assert (kept.operation, kept.status, kept.owner) == ("synthesis", "succeeded", "operator")
    assert (kept.provider, kept.model, kept.voice, kept.format) == ("openai", "tts-1", "alloy", "wav")
    assert (kept.characters, kept.audio_bytes, kept.cost_usd) == (6, 5, Decimal("0.00009"))
    assert kept.audio_sha256 == hashlib.sha256(b"audio").hexdigest()
    assert kept.audio is None
    assert kept.ended is not None


async def test_transcription_is_stored(api: Api) -> None:
    audio = recording("mp3")
    await transcribed(api, audio)
    kept = await row()
    assert (kept.operation, kept.status, kept.provider, kept.model) == (
        "transcription",
        "succeeded",
        "local",
        "tiny.en",
    )
    assert (kept.audio_bytes, kept.language) == (len(audio), "en")
    assert kept.seconds == pytest.approx(1.0, abs=0.1)
    assert kept.cost_usd == 0


async def test_rejected_call_is_stored_with_its_reason(api: Api) -> None:
    await transcribed(api, b"not audio")
    kept = await row()
    assert (kept.status, kept.code) == ("failed", "invalid_audio")
    assert "not audio in a known format" in kept.error


async def test_audio_is_stored_only_if_the_setting_is_on(api: Api) -> None:
    audio = recording("mp3")
    with override_settings(SPEECH_KEEP_AUDIO=True):
        await transcribed(api, audio)
    assert bytes((await row()).audio or b"") == audio


async def test_without_persistence_nothing_is_stored(api: Api) -> None:
    with override_settings(ENABLE_PERSISTENCE=False):
        assert (await transcribed(api, recording("mp3"))).status == 200
    assert await sync_to_async(SpeechRequest.objects.count)() == 0


async def test_client_of_openai_transcribes_and_synthesizes(api: Api) -> None:
    async with openai.AsyncOpenAI(base_url=f"{api.base_url}/v1", api_key="none", max_retries=0) as client:
        # A keyless service refuses a key that it does not know.
        client._client.headers.pop("Authorization", None)
        headers = {"Authorization": openai.Omit()}
        spoken = await client.audio.speech.create(input=TEXT, model="tts-1", voice="alloy", extra_headers=headers)
        audio = await spoken.aread()
        transcript = await client.audio.transcriptions.create(
            file=("a.mp3", audio), model="whisper-1", extra_headers=headers
        )
    assert accuracy(TEXT, transcript.text) >= 0.85
    failed = await api.call("POST", "/v1/audio/speech", json={"input": TEXT, "format": "midi"})
    assert (failed.status, failed.json()["error"]["type"]) == (400, "invalid_request_error")
