"""Covers `speech.audio.frames`, `speech.audio.streams`, `speech.languages`."""

import asyncio
import base64

import pytest

from speech.audio.decoding import Decoder
from speech.base import FORMATS, MEDIA_TYPES, SAMPLE_RATE, AudioFormat, SpeechError
from speech.requests import SynthesisRequest, TranscriptionRequest
from speech.service import SpeechService, Synthesis
from tests.speech.conftest import Make
from tests.speech.recordings import accuracy, long_silence, pitch, recording, silence, tone
from tests.speech.vendor import Reply, Vendor, json_reply

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "Please close the window before you leave the house.",
    "She bought a dozen eggs and a loaf of bread.",
)
LOCAL = ("openai", "google")
TRANSCRIBED = {"text": "Hello.", "language": "english", "segments": []}


async def whole(synthesis: Synthesis) -> bytes:
    return b"".join([piece async for piece in synthesis.audio])


async def said(service: SpeechService, text: str = "Hello world.", **wanted: object) -> bytes:
    return await whole(await service.synthesize(SynthesisRequest(text=text, **wanted)))


async def refused_hearing(service: SpeechService, audio: bytes | None = None, **wanted: object) -> SpeechError:
    with pytest.raises(SpeechError) as caught:
        await service.transcribe(TranscriptionRequest(audio=audio or recording("wav"), **wanted))
    return caught.value


async def refused_saying(service: SpeechService, text: str = "Hello.", **wanted: object) -> SpeechError:
    with pytest.raises(SpeechError) as caught:
        await service.synthesize(SynthesisRequest(text=text, **wanted))
    return caught.value


# Invalid requests


@pytest.mark.parametrize(
    ("wanted", "code", "valid"),
    [
        ({"provider": "azure"}, "unknown_provider", "openai, google, local"),
        ({"provider": "openai"}, "provider_not_configured", "its key is not set"),
        ({"provider": "local", "model": "whisper-1"}, "unknown_model", "tiny.en"),
        ({"model": "whisper-9"}, "unknown_model", "tiny.en"),
        ({"language": "de"}, "unknown_language", "en"),
        ({"language": ""}, "unknown_language", "en"),
        ({"format": "midi"}, "unknown_format", "wav, mp3, flac"),
        ({"audio": b"no audio"}, "invalid_audio", "WAV, MP3, FLAC"),
        ({"audio": recording("mp3")[:500]}, "invalid_audio", "cut off"),
    ],
)
async def test_invalid_transcription_is_rejected_with_the_valid_choices(
    make: Make, wanted: dict[str, object], code: str, valid: str
) -> None:
    error = await refused_hearing(make(LOCAL), **wanted)
    assert error.code == code
    assert valid in str(error)


@pytest.mark.parametrize(
    ("wanted", "code", "valid"),
    [
        ({"provider": "azure"}, "unknown_provider", "openai, google, local"),
        ({"provider": "google"}, "provider_not_configured", "its key is not set"),
        ({"provider": "local", "model": "tts-1"}, "unknown_model", "hibari"),
        ({"provider": "local", "voice": "alloy"}, "unknown_voice", "heart"),
        ({"model": "tts-9"}, "unknown_model", "hibari"),
        ({"voice": "nobody"}, "unknown_voice", "heart"),
        ({"format": "ogg"}, "unknown_format", "mp3, opus, aac, flac, wav, pcm"),
        ({"format": ""}, "unknown_format", "mp3, opus, aac, flac, wav, pcm"),
        ({"speed": 0}, "invalid_speed", "0.25 to 4"),
        ({"speed": -1}, "invalid_speed", "0.25 to 4"),
        ({"speed": 0.2}, "invalid_speed", "0.25 to 4"),
        ({"speed": 4.1}, "invalid_speed", "0.25 to 4"),
        ({"speed": float("nan")}, "invalid_speed", "0.25 to 4"),
        ({"speed": float("inf")}, "invalid_speed", "0.25 to 4"),
        ({"text": ""}, "invalid_text", "at least a word"),
        ({"text": " \n\t "}, "invalid_text", "at least a word"),
        ({"text": "\ud83d"}, "invalid_text", "surrogate"),
        ({"text": "!!! ... ???"}, "invalid_text", "pronounce"),
        ({"text": "a" * 100_000}, "text_too_long", "20000"),
    ],
)
async def test_invalid_synthesis_is_rejected_with_the_valid_choices(
    make: Make, wanted: dict[str, object], code: str, valid: str
) -> None:
    error = await refused_saying(make(LOCAL), **wanted)
    assert error.code == code
    assert valid in str(error)


async def test_two_hours_of_audio_are_rejected_quickly_for_every_provider(make: Make) -> None:
    service, bomb = make(max_audio_seconds=60.0), long_silence(2.0)
    for provider in ("local", "openai", "google"):
        async with asyncio.timeout(10):
            error = await refused_hearing(service, bomb, provider=provider)
        assert error.code == "audio_too_long"
        assert "SPEECH_MAX_AUDIO_SECONDS" in str(error)


async def test_too_many_bytes_are_rejected_unread(make: Make) -> None:
    error = await refused_hearing(make(LOCAL, max_audio_bytes=1_000), bytes(1_001))
    assert error.code == "audio_too_large"


async def test_incomplete_recording_is_not_sent_to_a_vendor(make: Make, fake: Vendor) -> None:
    error = await refused_hearing(make(), recording("flac", 3.0)[:20_000], provider="openai")
    assert error.code == "invalid_audio"
    assert not fake.asked


async def test_without_a_configured_provider_each_reason_is_reported(make: Make) -> None:
    error = await refused_hearing(make(("openai", "google", "local")))
    assert error.code == "provider_not_configured"
    assert "openai: its key is not set; google: its key is not set; local: its key is not set" in str(error)


# The local models


@pytest.mark.parametrize(("format_", "sentence"), [*zip(("mp3", "opus", "wav"), SENTENCES, strict=True)])
async def test_synthesized_text_is_transcribed_again(make: Make, format_: AudioFormat, sentence: str) -> None:
    service = make(LOCAL)
    transcript = await service.transcribe(TranscriptionRequest(audio=await said(service, sentence, format=format_)))
    assert accuracy(sentence, transcript.text) >= 0.85
    assert (transcript.provider, transcript.model, transcript.language, transcript.cost_usd) == (
        "local",
        "tiny.en",
        "en",
        0.0,
    )
    assert transcript.duration
    assert all(0 <= segment.start < segment.end <= transcript.duration + 0.5 for segment in transcript.segments)


async def test_silence_is_transcribed_as_nothing(make: Make) -> None:
    transcript = await make(LOCAL).transcribe(TranscriptionRequest(audio=silence(3.0), format="pcm"))
    assert (transcript.text, transcript.segments, transcript.duration) == ("", (), 3.0)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("whole_file", [False, True])
async def test_every_format_is_synthesized(make: Make, format_: AudioFormat, whole_file: bool) -> None:
    synthesis = await make(LOCAL).synthesize(SynthesisRequest(text="Hello.", format=format_, whole=whole_file))
    assert synthesis.mime == MEDIA_TYPES[format_]
    decoder = Decoder(await whole(synthesis), "pcm" if format_ == "pcm" else None, rate=16_000, max_seconds=10)
    assert sum(map(len, decoder.blocks())) > 16_000


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
async def test_speed_changes_the_duration(make: Make, speed: float) -> None:
    service, text = make(LOCAL), "The quick brown fox jumps over the lazy dog."
    normal = len(await said(service, text, format="pcm"))
    changed = len(await said(service, text, format="pcm", speed=speed))
    assert changed * speed == pytest.approx(normal, rel=0.15)


async def test_first_words_are_returned_long_before_the_last(make: Make) -> None:
    service = make(LOCAL)
    synthesis = await service.synthesize(
        SynthesisRequest(text="This is a sentence of several words. " * 300, format="mp3")
    )
    first = await anext(synthesis.audio)
    await synthesis.audio.aclose()
    assert 0 < len(first) < 100_000


async def test_disconnected_reader_frees_the_worker(make: Make) -> None:
    service = make(LOCAL)
    synthesis = await service.synthesize(SynthesisRequest(text="This is a long text. " * 900))
    await synthesis.audio.aclose()
    async with asyncio.timeout(5):
        assert await said(service, "Next.")


# Selection of the provider


async def test_local_provider_serves_and_reports_it_when_the_default_is_not_configured(make: Make) -> None:
    synthesis = await make(LOCAL).synthesize(SynthesisRequest(text="Hello.", voice="alloy", model="tts-1"))
    await synthesis.audio.aclose()
    assert (synthesis.provider, synthesis.voice, synthesis.model) == ("local", "heart", "hibari")
    assert synthesis.note == (
        "openai is not configured (its key is not set); local served; "
        "the model tts-1 belongs to openai: local used hibari; the voice alloy belongs to openai: local used heart"
    )


async def test_default_provider_uses_the_default_models(make: Make, fake: Vendor) -> None:
    fake.play(json_reply(TRANSCRIBED), Reply(pieces=(b"audio",)))
    service = make()
    transcript = await service.transcribe(TranscriptionRequest(audio=recording("mp3", 30.0)))
    assert (transcript.provider, transcript.model, transcript.note) == ("openai", "whisper-1", None)
    assert transcript.cost_usd == pytest.approx(0.003, rel=0.01)
    synthesis = await service.synthesize(SynthesisRequest(text="Hello."))
    assert (synthesis.provider, synthesis.model, synthesis.voice) == ("openai", "tts-1", "alloy")
    assert synthesis.cost_usd == pytest.approx(6 * 15 / 1e6)
    assert await whole(synthesis) == b"audio"


async def test_next_provider_is_tried_if_none_was_named(make: Make, fake: Vendor) -> None:
    fake.play(json_reply({"error": {"message": "down"}}, 503), json_reply({"error": {"message": "no quota"}}, 429))
    synthesis = await make().synthesize(SynthesisRequest(text="Hello."))
    await synthesis.audio.aclose()
    assert synthesis.provider == "local"
    assert "openai: it answered 503: down; google: it answered 429: no quota; local served" in (synthesis.note or "")


async def test_named_provider_has_no_fallback(make: Make, fake: Vendor) -> None:
    fake.play(json_reply({"error": {"message": "down"}}, 503))
    error = await refused_saying(make(), provider="openai")
    assert (error.code, error.provider, error.retryable) == ("provider_unavailable", "openai", True)
    assert str(error) == "openai: it answered 503: down"
    assert len(fake.asked) == 1


async def test_every_failed_provider_is_reported(make: Make, fake: Vendor) -> None:
    fake.play(json_reply({"error": {"message": "down"}}, 503), json_reply({"error": {"message": "no quota"}}, 429))
    error = await refused_saying(make(("local",)))
    assert "openai: it answered 503: down" in str(error)
    assert "google: it answered 429: no quota" in str(error)


async def test_invalid_request_is_not_tried_elsewhere(make: Make, fake: Vendor) -> None:
    assert (await refused_saying(make(), voice="nobody")).code == "unknown_voice"
    assert not fake.asked


async def test_language_selects_a_provider_that_supports_it(make: Make, fake: Vendor) -> None:
    fake.play(json_reply({"results": []}))
    transcript = await make(("openai",), default="local").transcribe(
        TranscriptionRequest(audio=recording("wav"), language="de")
    )
    assert transcript.provider == "google"


async def test_broken_stream_is_reported_with_its_provider(make: Make, fake: Vendor) -> None:
    fake.play(Reply(pieces=(b"one",), ending="cut"))
    synthesis = await make().synthesize(SynthesisRequest(text="Hello."))
    with pytest.raises(SpeechError, match="openai: ") as caught:
        await whole(synthesis)
    assert caught.value.provider == "openai"


async def test_response_without_audio_is_a_failure(make: Make, fake: Vendor) -> None:
    fake.play(Reply())
    assert (await refused_saying(make(), provider="openai")).code == "provider_protocol"


async def test_duration_of_a_call_is_limited(make: Make, fake: Vendor) -> None:
    fake.play(Reply(ending="silent from the start"), Reply(pieces=(b"one",), ending="silence"))
    service = make(max_seconds=0.3)
    assert (await refused_hearing(service, provider="openai")).code == "provider_timeout"
    synthesis = await service.synthesize(SynthesisRequest(text="Hello.", provider="openai"))
    with pytest.raises(SpeechError, match="SPEECH_MAX_SECONDS"):
        await whole(synthesis)


# Conversion of the vendor's audio


@pytest.mark.parametrize("format_", ["aac", "flac"])
async def test_unsupported_format_is_encoded_from_samples(make: Make, fake: Vendor, format_: AudioFormat) -> None:
    fake.play(json_reply({"audioContent": base64.b64encode(tone(1.0)).decode()}))
    synthesis = await make().synthesize(SynthesisRequest(text="Hello.", provider="google", format=format_))
    samples = b"".join(Decoder(await whole(synthesis), None, rate=SAMPLE_RATE, max_seconds=10).blocks())
    assert fake.asked[0].body["audioConfig"]["audioEncoding"] == "LINEAR16"
    assert pitch(samples) == pytest.approx(440, rel=0.02)


async def test_unsupported_speed_is_made_from_a_supported_one(make: Make, fake: Vendor) -> None:
    fake.play(json_reply({"audioContent": base64.b64encode(tone(2.0)).decode()}))
    synthesis = await make().synthesize(SynthesisRequest(text="Hello.", provider="google", format="pcm", speed=4.0))
    samples = await whole(synthesis)
    assert fake.asked[0].body["audioConfig"]["speakingRate"] == 2.0
    assert len(samples) / 2 / SAMPLE_RATE == pytest.approx(1.0, rel=0.02)
    assert pitch(samples) == pytest.approx(440, rel=0.02)


async def test_text_too_long_for_one_request_becomes_one_file_of_several(make: Make, fake: Vendor) -> None:
    fake.play(*(Reply(pieces=(tone(0.5),)) for _ in range(3)))
    text = "This is a sentence. " * 500
    audio = await said(make(), text, provider="openai", format="wav", whole=True)
    assert [asked.body["response_format"] for asked in fake.asked] == ["pcm"] * 3
    assert max(len(asked.body["input"]) for asked in fake.asked) <= 4_096
    samples = b"".join(Decoder(audio, None, rate=SAMPLE_RATE, max_seconds=10).blocks())
    assert samples == tone(0.5) * 3


async def test_audio_that_a_vendor_does_not_accept_is_sent_as_flac(make: Make, fake: Vendor) -> None:
    fake.play(json_reply(TRANSCRIBED), *(json_reply({"results": []}) for _ in range(3)))
    await make().transcribe(TranscriptionRequest(audio=recording("aac", 2.0), provider="openai"))
    assert fake.asked[0].fields["file"][:2] == ("audio.flac", "audio/flac")
    await make().transcribe(TranscriptionRequest(audio=recording("mp3", 130.0), provider="google"))
    seconds = []
    for asked in fake.asked[1:]:
        piece = base64.b64decode(asked.body["audio"]["content"])
        decoder = Decoder(piece, None, rate=16_000, max_seconds=60)
        seconds.append(sum(map(len, decoder.blocks())) / 32_000)
    assert len(seconds) == 3
    assert max(seconds) <= 55
    assert sum(seconds) == pytest.approx(130, abs=0.2)


async def test_invalid_audio_is_not_reported_as_a_provider_failure(make: Make) -> None:
    error = await refused_hearing(make(), b"fLaC" + bytes(100), provider="google")
    assert (error.code, error.provider) == ("invalid_audio", "")
