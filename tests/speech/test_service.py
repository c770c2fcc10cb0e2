import asyncio
import base64

import pytest

from speech.audio.decoding import Decoder
from speech.base import FORMATS, MEDIA_TYPES, SAMPLE_RATE, AudioFormat, SpeechError
from speech.requests import SynthesisRequest, TranscriptionRequest
from speech.service import SpeechService, Spoken
from tests.speech.conftest import Make
from tests.speech.recordings import accuracy, long_silence, pitch, recording, silence, tone
from tests.speech.vendor import Reply, Vendor, told

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "Please close the window before you leave the house.",
    "She bought a dozen eggs and a loaf of bread.",
)
LOCAL = ("openai", "google")
HEARD = {"text": "Hello.", "language": "english", "segments": []}


async def whole(spoken: Spoken) -> bytes:
    return b"".join([piece async for piece in spoken.audio])


async def said(service: SpeechService, text: str = "Hello world.", **wanted: object) -> bytes:
    return await whole(await service.synthesize(SynthesisRequest(text=text, **wanted)))  # type: ignore[arg-type]


async def refused_hearing(service: SpeechService, audio: bytes | None = None, **wanted: object) -> SpeechError:
    with pytest.raises(SpeechError) as caught:
        await service.transcribe(TranscriptionRequest(audio=audio or recording("wav"), **wanted))  # type: ignore[arg-type]
    return caught.value


async def refused_saying(service: SpeechService, text: str = "Hello.", **wanted: object) -> SpeechError:
    with pytest.raises(SpeechError) as caught:
        await service.synthesize(SynthesisRequest(text=text, **wanted))  # type: ignore[arg-type]
    return caught.value


# What cannot be


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
async def test_a_transcription_that_cannot_be_is_refused_with_what_can(
    make: Make, wanted: dict[str, object], code: str, valid: str
) -> None:
    error = await refused_hearing(make(LOCAL), **wanted)  # type: ignore[arg-type]
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
async def test_a_synthesis_that_cannot_be_is_refused_with_what_can(
    make: Make, wanted: dict[str, object], code: str, valid: str
) -> None:
    error = await refused_saying(make(LOCAL), **wanted)  # type: ignore[arg-type]
    assert error.code == code
    assert valid in str(error)


async def test_two_hours_of_audio_are_refused_soon_wherever_they_would_go(make: Make) -> None:
    service, bomb = make(max_audio_seconds=60.0), long_silence(2.0)
    for provider in ("local", "openai", "google"):
        async with asyncio.timeout(10):
            error = await refused_hearing(service, bomb, provider=provider)
        assert error.code == "audio_too_long"
        assert "SPEECH_MAX_AUDIO_SECONDS" in str(error)


async def test_too_many_bytes_are_refused_unread(make: Make) -> None:
    error = await refused_hearing(make(LOCAL, max_audio_bytes=1_000), bytes(1_001))
    assert error.code == "audio_too_large"


async def test_nothing_leaves_the_machine_that_is_not_whole(make: Make, fake: Vendor) -> None:
    error = await refused_hearing(make(), recording("flac", 3.0)[:20_000], provider="openai")
    assert error.code == "invalid_audio"
    assert not fake.asked


async def test_where_no_provider_is_configured_each_says_why(make: Make) -> None:
    error = await refused_hearing(make(("openai", "google", "local")))
    assert error.code == "provider_not_configured"
    assert "openai: its key is not set; google: its key is not set; local: its key is not set" in str(error)


# The local models


@pytest.mark.parametrize(("format_", "sentence"), [*zip(("mp3", "opus", "wav"), SENTENCES, strict=True)])
async def test_what_is_said_is_heard_again(make: Make, format_: AudioFormat, sentence: str) -> None:
    service = make(LOCAL)
    heard = await service.transcribe(TranscriptionRequest(audio=await said(service, sentence, format=format_)))
    assert accuracy(sentence, heard.text) >= 0.85
    assert (heard.provider, heard.model, heard.language, heard.cost_usd) == ("local", "tiny.en", "en", 0.0)
    assert heard.duration
    assert all(0 <= segment.start < segment.end <= heard.duration + 0.5 for segment in heard.segments)


async def test_silence_is_heard_as_nothing(make: Make) -> None:
    heard = await make(LOCAL).transcribe(TranscriptionRequest(audio=silence(3.0), format="pcm"))
    assert (heard.text, heard.segments, heard.duration) == ("", (), 3.0)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("whole_file", [False, True])
async def test_every_format_is_given(make: Make, format_: AudioFormat, whole_file: bool) -> None:
    spoken = await make(LOCAL).synthesize(SynthesisRequest(text="Hello.", format=format_, whole=whole_file))
    assert spoken.mime == MEDIA_TYPES[format_]
    decoder = Decoder(await whole(spoken), "pcm" if format_ == "pcm" else None, rate=16_000, max_seconds=10)
    assert sum(map(len, decoder.blocks())) > 16_000


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
async def test_speed_changes_how_long_it_takes(make: Make, speed: float) -> None:
    service, text = make(LOCAL), "The quick brown fox jumps over the lazy dog."
    normal = len(await said(service, text, format="pcm"))
    changed = len(await said(service, text, format="pcm", speed=speed))
    assert changed * speed == pytest.approx(normal, rel=0.15)


async def test_the_first_words_are_heard_long_before_the_last_are_said(make: Make) -> None:
    service = make(LOCAL)
    spoken = await service.synthesize(
        SynthesisRequest(text="This is a sentence of several words. " * 300, format="mp3")
    )
    first = await anext(spoken.audio)
    await spoken.audio.aclose()
    assert 0 < len(first) < 100_000


async def test_a_reader_who_leaves_keeps_nobody_waiting(make: Make) -> None:
    service = make(LOCAL)
    spoken = await service.synthesize(SynthesisRequest(text="This is a long text. " * 900))
    await spoken.audio.aclose()
    async with asyncio.timeout(5):
        assert await said(service, "Next.")


# Who serves


async def test_local_serves_where_the_default_is_not_configured_and_says_so(make: Make) -> None:
    spoken = await make(LOCAL).synthesize(SynthesisRequest(text="Hello.", voice="alloy", model="tts-1"))
    await spoken.audio.aclose()
    assert (spoken.provider, spoken.voice, spoken.model) == ("local", "heart", "hibari")
    assert spoken.note == (
        "openai is not configured (its key is not set); local served; the model tts-1 is openai's: local used hibari; "
        "the voice alloy is openai's: local used heart"
    )


async def test_the_default_provider_gets_the_default_models(make: Make, fake: Vendor) -> None:
    fake.play(told(HEARD), Reply(pieces=(b"audio",)))
    service = make()
    heard = await service.transcribe(TranscriptionRequest(audio=recording("mp3", 30.0)))
    assert (heard.provider, heard.model, heard.note) == ("openai", "whisper-1", None)
    assert heard.cost_usd == pytest.approx(0.003, rel=0.01)
    spoken = await service.synthesize(SynthesisRequest(text="Hello."))
    assert (spoken.provider, spoken.model, spoken.voice) == ("openai", "tts-1", "alloy")
    assert spoken.cost_usd == pytest.approx(6 * 15 / 1e6)
    assert await whole(spoken) == b"audio"


async def test_the_next_one_is_tried_where_none_was_named(make: Make, fake: Vendor) -> None:
    fake.play(told({"error": {"message": "down"}}, 503), told({"error": {"message": "no quota"}}, 429))
    spoken = await make().synthesize(SynthesisRequest(text="Hello."))
    await spoken.audio.aclose()
    assert spoken.provider == "local"
    assert "openai: it answered 503: down; google: it answered 429: no quota; local served" in (spoken.note or "")


async def test_a_named_provider_fails_alone(make: Make, fake: Vendor) -> None:
    fake.play(told({"error": {"message": "down"}}, 503))
    error = await refused_saying(make(), provider="openai")
    assert (error.code, error.provider, error.retryable) == ("provider_unavailable", "openai", True)
    assert str(error) == "openai: it answered 503: down"
    assert len(fake.asked) == 1


async def test_all_that_failed_are_told(make: Make, fake: Vendor) -> None:
    fake.play(told({"error": {"message": "down"}}, 503), told({"error": {"message": "no quota"}}, 429))
    error = await refused_saying(make(("local",)))
    assert "openai: it answered 503: down" in str(error)
    assert "google: it answered 429: no quota" in str(error)


async def test_a_mistake_of_the_callers_is_tried_nowhere_else(make: Make, fake: Vendor) -> None:
    assert (await refused_saying(make(), voice="nobody")).code == "unknown_voice"
    assert not fake.asked


async def test_a_language_goes_to_who_understands_it(make: Make, fake: Vendor) -> None:
    fake.play(told({"results": []}))
    heard = await make(("openai",), default="local").transcribe(
        TranscriptionRequest(audio=recording("wav"), language="de")
    )
    assert heard.provider == "google"


async def test_a_stream_that_breaks_says_whose_it_was(make: Make, fake: Vendor) -> None:
    fake.play(Reply(pieces=(b"one",), ending="cut"))
    spoken = await make().synthesize(SynthesisRequest(text="Hello."))
    with pytest.raises(SpeechError, match="openai: ") as caught:
        await whole(spoken)
    assert caught.value.provider == "openai"


async def test_an_answer_without_audio_is_a_failure(make: Make, fake: Vendor) -> None:
    fake.play(Reply())
    assert (await refused_saying(make(), provider="openai")).code == "provider_protocol"


async def test_time_is_bounded(make: Make, fake: Vendor) -> None:
    fake.play(Reply(ending="silent from the start"), Reply(pieces=(b"one",), ending="silence"))
    service = make(max_seconds=0.3)
    assert (await refused_hearing(service, provider="openai")).code == "provider_timeout"
    spoken = await service.synthesize(SynthesisRequest(text="Hello.", provider="openai"))
    with pytest.raises(SpeechError, match="SPEECH_MAX_SECONDS"):
        await whole(spoken)


# What is made of what a vendor gives


@pytest.mark.parametrize("format_", ["aac", "flac"])
async def test_a_format_that_a_vendor_has_not_is_made_of_samples(
    make: Make, fake: Vendor, format_: AudioFormat
) -> None:
    fake.play(told({"audioContent": base64.b64encode(tone(1.0)).decode()}))
    spoken = await make().synthesize(SynthesisRequest(text="Hello.", provider="google", format=format_))
    samples = b"".join(Decoder(await whole(spoken), None, rate=SAMPLE_RATE, max_seconds=10).blocks())
    assert fake.asked[0].body["audioConfig"]["audioEncoding"] == "LINEAR16"
    assert pitch(samples) == pytest.approx(440, rel=0.02)


async def test_a_speed_that_a_vendor_has_not_is_made_of_what_it_has(make: Make, fake: Vendor) -> None:
    fake.play(told({"audioContent": base64.b64encode(tone(2.0)).decode()}))
    spoken = await make().synthesize(SynthesisRequest(text="Hello.", provider="google", format="pcm", speed=4.0))
    samples = await whole(spoken)
    assert fake.asked[0].body["audioConfig"]["speakingRate"] == 2.0
    assert len(samples) / 2 / SAMPLE_RATE == pytest.approx(1.0, rel=0.02)
    assert pitch(samples) == pytest.approx(440, rel=0.02)


async def test_a_text_too_long_for_one_request_is_said_in_several_as_one_file(make: Make, fake: Vendor) -> None:
    fake.play(*(Reply(pieces=(tone(0.5),)) for _ in range(3)))
    text = "This is a sentence. " * 500
    audio = await said(make(), text, provider="openai", format="wav", whole=True)
    assert [asked.body["response_format"] for asked in fake.asked] == ["pcm"] * 3
    assert max(len(asked.body["input"]) for asked in fake.asked) <= 4_096
    samples = b"".join(Decoder(audio, None, rate=SAMPLE_RATE, max_seconds=10).blocks())
    assert samples == tone(0.5) * 3


async def test_audio_that_a_vendor_does_not_take_goes_as_flac(make: Make, fake: Vendor) -> None:
    fake.play(told(HEARD), *(told({"results": []}) for _ in range(3)))
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


async def test_what_the_checks_find_is_not_the_providers_fault(make: Make) -> None:
    error = await refused_hearing(make(), b"fLaC" + bytes(100), provider="google")
    assert (error.code, error.provider) == ("invalid_audio", "")
