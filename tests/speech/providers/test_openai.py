"""Covers `speech.providers.http`."""

import random
from collections.abc import AsyncIterator

import pytest
from django.test import override_settings

from chat.providers.openai.endpoint import Endpoint, SpeechAddress
from speech import conf
from speech.audio.encoding import encoded
from speech.base import FORMATS, SAMPLE_BYTES, AudioFormat, Piece, Recording, Segment, SpeechError, Timeouts, Utterance
from speech.providers.openai import MAX_BYTES, PIECE_SECONDS, OpenAI
from speech.worker.local_models import WHISPER_RATE
from tests.speech.recordings import recording
from tests.speech.vendor import Reply, Vendor, json_reply, vendor

KEY = "sk-a-key-of-the-tests"
AUDIO = recording("wav", 0.2)
SAID = {"text": " Hello world. ", "language": "english", "duration": 1.5}
TIMED = {**SAID, "segments": [{"id": 0, "start": 0.0, "end": 1.5, "text": " Hello world."}]}


@pytest.fixture
async def fake() -> AsyncIterator[Vendor]:
    async with vendor() as running:
        yield running


def made(url: str, **changes: float) -> OpenAI:
    timeouts = Timeouts(**({"connect": 5.0, "first_byte": 5.0, "idle": 5.0} | changes))
    return OpenAI(api_key=KEY, base_url=url, timeouts=timeouts, any_model=False)


def recorded(model: str = "whisper-1", language: str | None = None, pieces: tuple[Piece, ...] = ()) -> Recording:
    return Recording(audio=AUDIO, kind="wav", seconds=0.2, model=model, language=language, pieces=pieces)


def said(*pieces: str, model: str = "tts-1", format_: AudioFormat = "mp3", speed: float = 1.0) -> Utterance:
    return Utterance(pieces=pieces or ("Hello.",), model=model, voice="alloy", format=format_, speed=speed)


async def spoken(provider: OpenAI, utterance: Utterance) -> list[bytes]:
    return [piece async for piece in provider.synthesize(utterance)]


async def test_query_of_the_base_url_is_sent_behind_the_path(fake: Vendor) -> None:
    fake.play(json_reply(TIMED))
    await made(f"{fake.url}/d1?api-version=2024-10-21").transcribe(recorded())
    assert fake.asked[0].path == "/d1/audio/transcriptions?api-version=2024-10-21"


@pytest.mark.parametrize("name", ["openai", "gpu"])
async def test_speech_of_a_place_of_its_own_gets_its_own_key(fake: Vendor, name: str) -> None:
    speech = SpeechAddress(base_url=fake.url, api_key=KEY, key_header="api-key")
    endpoint = Endpoint(name="gpu", base_url="http://127.0.0.1:9", api_key="of-the-models", speech=speech)
    of_openai = {"OPENAI_API_KEY": "of-the-models", "OPENAI_SPEECH_BASE_URL": fake.url, "OPENAI_SPEECH_API_KEY": KEY}
    with override_settings(ENDPOINTS=(endpoint,), **of_openai):
        provider = conf.service.__wrapped__().providers.get(name, "transcription")
        fake.play(json_reply(SAID))
        await provider.transcribe(recorded("m"))
    headers = fake.asked[0].headers
    assert provider.name == name
    assert (headers.get("authorization"), headers.get("api-key")) == (
        (f"Bearer {KEY}", None) if name == "openai" else (None, KEY)
    )


async def test_recording_is_sent_as_a_form_and_transcribed_with_times(fake: Vendor) -> None:
    fake.play(json_reply(TIMED))
    transcript = await made(fake.url).transcribe(recorded(language="en-GB"))
    (asked,) = fake.asked
    assert asked.path == "/audio/transcriptions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.fields == {
        "file": ("audio.wav", "audio/wav", AUDIO),
        "model": "whisper-1",
        "response_format": "verbose_json",
        "language": "en",
    }
    assert transcript.text == "Hello world."
    assert transcript.language == "en"
    assert transcript.segments == (Segment(start=0.0, end=1.5, text="Hello world."),)


async def test_models_without_times_are_not_asked_for_them(fake: Vendor) -> None:
    fake.play(json_reply({"text": "Hello."}))
    transcript = await made(fake.url).transcribe(recorded("gpt-4o-transcribe"))
    assert fake.asked[0].fields["response_format"] == "json"
    assert "language" not in fake.asked[0].fields
    assert (transcript.text, transcript.language, transcript.segments) == ("Hello.", None, ())


async def test_recording_in_pieces_has_times_of_the_whole(fake: Vendor) -> None:
    fake.play(json_reply(TIMED), json_reply(TIMED))
    pieces = tuple(Piece(audio=b"fLaC", start=start, seconds=1.5) for start in (0.0, 1.5))
    transcript = await made(fake.url).transcribe(recorded(pieces=pieces))
    assert transcript.text == "Hello world. Hello world."
    assert [segment.start for segment in transcript.segments] == [0.0, 1.5]
    assert [asked.fields["file"][1] for asked in fake.asked] == ["audio/flac", "audio/flac"]


async def test_silence_is_an_empty_text(fake: Vendor) -> None:
    fake.play(json_reply({"text": ""}))
    assert (await made(fake.url).transcribe(recorded())).text == ""


@pytest.mark.parametrize("format_", FORMATS)
async def test_audio_is_streamed(fake: Vendor, format_: AudioFormat) -> None:
    fake.play(Reply(pieces=(b"one", b"two"), headers={"Content-Type": "audio/mpeg"}))
    assert b"".join(await spoken(made(fake.url), said(format_=format_, speed=1.5))) == b"onetwo"
    assert fake.asked[0].body == {
        "model": "tts-1",
        "input": "Hello.",
        "voice": "alloy",
        "response_format": format_,
        "speed": 1.5,
    }


async def test_first_audio_arrives_before_the_last_is_made(fake: Vendor) -> None:
    fake.play(Reply(pieces=(b"one",), ending="silence"))
    stream = made(fake.url).synthesize(said())
    assert await anext(stream) == b"one"
    await stream.aclose()
    await fake.left.wait()


async def test_pieces_of_a_text_are_synthesized_in_order(fake: Vendor) -> None:
    fake.play(Reply(pieces=(b"one",)), Reply(pieces=(b"two",)))
    assert await spoken(made(fake.url), said("One.", "Two.", format_="pcm")) == [b"one", b"two"]


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "provider_rejected", False),
        (401, "provider_auth", False),
        (403, "provider_auth", False),
        (404, "provider_rejected", False),
        (408, "provider_timeout", True),
        (413, "provider_rejected", False),
        (429, "provider_rate_limited", True),
        (301, "provider_rejected", False),
        (500, "provider_unavailable", True),
        (503, "provider_unavailable", True),
    ],
)
async def test_rejection_includes_the_message_of_the_vendor_and_never_the_key(
    fake: Vendor, status: int, code: str, retryable: bool
) -> None:
    refusal = json_reply({"error": {"message": f"No, not with {KEY}."}}, status, **{"Retry-After": "7"})
    fake.play(refusal, refusal)
    for work in (made(fake.url).transcribe(recorded()), spoken(made(fake.url), said())):
        with pytest.raises(SpeechError, match=rf"it answered {status}: No, not with \[secret\]") as caught:
            await work
        assert (caught.value.code, caught.value.retryable, caught.value.retry_after) == (code, retryable, 7.0)
        assert KEY not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"text": 5}', b'{"text": "\xff"}', b'{"segments": []}'])
async def test_malformed_transcription_is_reported(fake: Vendor, body: bytes) -> None:
    fake.play(Reply(pieces=(body,) if body else ()))
    with pytest.raises(SpeechError, match="not a transcription") as caught:
        await made(fake.url).transcribe(recorded())
    assert caught.value.code == "provider_protocol"


async def test_rejection_that_is_not_json_is_reported_in_one_line(fake: Vendor) -> None:
    fake.play(Reply(status=502, pieces=(b"<html>\n  Bad\n gateway" + b"x" * 50_000,)))
    with pytest.raises(SpeechError, match="it answered 502: <html> Bad gateway") as caught:
        await spoken(made(fake.url), said())
    assert len(str(caught.value)) < 600


async def test_broken_response_is_reported_after_its_audio(fake: Vendor) -> None:
    fake.play(Reply(pieces=(b"one",), ending="cut"))
    stream = made(fake.url).synthesize(said())
    assert await anext(stream) == b"one"
    with pytest.raises(SpeechError) as caught:
        await anext(stream)
    assert caught.value.retryable


@pytest.mark.parametrize("ending", ["silence", "silent from the start"])
async def test_silent_vendor_times_out(fake: Vendor, ending: str) -> None:
    fake.play(Reply(ending=ending))
    provider = made(fake.url, connect=0.1, first_byte=0.1, idle=0.1)
    with pytest.raises(SpeechError, match="did not answer in time") as caught:
        await spoken(provider, said())
    assert (caught.value.code, caught.value.retryable) == ("provider_timeout", True)


async def test_unreachable_vendor_is_reported() -> None:
    with pytest.raises(SpeechError, match="cannot be reached") as caught:
        await made("http://127.0.0.1:1").transcribe(recorded())
    assert (caught.value.code, caught.value.retryable) == ("provider_unavailable", True)


def test_piece_of_noise_is_within_the_size_limit() -> None:
    seconds = 60
    size = len(encoded(random.Random(0).randbytes(seconds * WHISPER_RATE * SAMPLE_BYTES), "flac", WHISPER_RATE))
    assert size * PIECE_SECONDS / seconds < MAX_BYTES
