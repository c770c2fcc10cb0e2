import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from speech.audio.encoding import encoded
from speech.base import AudioFormat, Piece, Recording, Segment, SpeechError, Timeouts, Utterance
from speech.providers.google import Google
from speech.providers.google_credentials import Headers, credential_headers, key_headers
from tests.speech.recordings import tone
from tests.speech.vendor import Reply, Vendor, json_reply, vendor

KEY = "AIza-a-key-of-the-tests"
WAV = encoded(tone(0.1), "wav")
TRANSCRIBED = {
    "results": [
        {
            "alternatives": [
                {
                    "transcript": "hello world",
                    "words": [{"startTime": "0.100s", "endTime": "0.5s"}, {"startTime": "0.5s", "endTime": "1.200s"}],
                }
            ],
            "resultEndTime": "1.3s",
            "languageCode": "en-us",
        },
        {"alternatives": [{"transcript": " and again"}], "resultEndTime": "2s", "languageCode": "en-us"},
    ]
}


@pytest.fixture
async def fake() -> AsyncIterator[Vendor]:
    async with vendor() as running:
        yield running


def made(url: str, headers: Headers | None = None, idle: float = 5.0) -> Google:
    return Google(
        headers=headers or key_headers(KEY),
        stt_url=f"{url}/v1",
        tts_url=f"{url}/v1",
        timeouts=Timeouts(connect=idle, first_byte=idle, idle=idle),
        secrets=(KEY,),
    )


def recorded(language: str | None = None, count: int = 1) -> Recording:
    pieces = tuple(Piece(audio=b"fLaC", start=50.0 * number, seconds=50.0) for number in range(count))
    return Recording(audio=WAV, kind="wav", seconds=0.1, model="latest_long", language=language, pieces=pieces)


def said(*pieces: str, format_: AudioFormat = "mp3", voice: str = "en-US-Neural2-C") -> Utterance:
    return Utterance(pieces=pieces or ("Hello.",), model="neural2", voice=voice, format=format_, speed=1.25)


def audio(data: bytes = b"audio") -> Reply:
    return json_reply({"audioContent": base64.b64encode(data).decode()})


async def spoken(provider: Google, utterance: Utterance) -> list[bytes]:
    return [piece async for piece in provider.synthesize(utterance)]


async def test_recording_is_recognised_in_pieces_with_times_of_the_whole(fake: Vendor) -> None:
    fake.play(json_reply(TRANSCRIBED), json_reply(TRANSCRIBED))
    transcript = await made(fake.url).transcribe(recorded(count=2))
    assert [asked.path for asked in fake.asked] == ["/v1/speech:recognize"] * 2
    assert fake.asked[0].headers["x-goog-api-key"] == KEY
    assert fake.asked[0].body == {
        "config": {
            "encoding": "FLAC",
            "languageCode": "en-US",
            "model": "latest_long",
            "enableAutomaticPunctuation": True,
            "enableWordTimeOffsets": True,
        },
        "audio": {"content": base64.b64encode(b"fLaC").decode()},
    }
    assert transcript.text == "hello world and again hello world and again"
    assert transcript.language == "en"
    assert transcript.segments[:2] == (
        Segment(start=0.1, end=1.2, text="hello world"),
        Segment(start=1.2, end=2.0, text="and again"),
    )
    assert transcript.segments[2].start == 50.1


@pytest.mark.parametrize(("language", "code"), [("de", "de-DE"), ("en-GB", "en-GB"), ("zh", "cmn-Hans-CN")])
async def test_language_is_sent_with_a_region(fake: Vendor, language: str, code: str) -> None:
    fake.play(json_reply({}))
    await made(fake.url).transcribe(recorded(language))
    assert fake.asked[0].body["config"]["languageCode"] == code


async def test_silence_is_an_empty_text(fake: Vendor) -> None:
    fake.play(json_reply({"totalBilledTime": "1s"}))
    assert (await made(fake.url).transcribe(recorded())).text == ""


async def test_text_is_synthesized(fake: Vendor) -> None:
    fake.play(audio())
    assert await spoken(made(fake.url), said(format_="opus")) == [b"audio"]
    assert fake.asked[0].path == "/v1/text:synthesize"
    assert fake.asked[0].body == {
        "input": {"text": "Hello."},
        "voice": {"languageCode": "en-US", "name": "en-US-Neural2-C"},
        "audioConfig": {"audioEncoding": "OGG_OPUS", "speakingRate": 1.25, "sampleRateHertz": 24_000},
    }


async def test_samples_are_returned_without_the_wav_header(fake: Vendor) -> None:
    fake.play(audio(WAV), audio(WAV))
    assert b"".join(await spoken(made(fake.url), said("One.", "Two.", format_="pcm"))) == tone(0.1) * 2


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"audioContent": "not base64!"}, "not base64"),
        ({}, "unexpected form"),
        ([], "unexpected form"),
        ({"audioContent": 5}, "unexpected form"),
    ],
)
async def test_malformed_response_is_a_protocol_error(fake: Vendor, body: Any, what: str) -> None:
    fake.play(json_reply(body))
    with pytest.raises(SpeechError, match=what) as caught:
        await spoken(made(fake.url), said())
    assert caught.value.code == "provider_protocol"


async def test_malformed_time_is_reported(fake: Vendor) -> None:
    fake.play(json_reply({"results": [{"alternatives": [{"transcript": "x"}], "resultEndTime": "soon"}]}))
    with pytest.raises(SpeechError, match="'soon' is not a time"):
        await made(fake.url).transcribe(recorded())


@pytest.mark.parametrize(
    ("status", "code"), [(400, "provider_rejected"), (403, "provider_auth"), (429, "provider_rate_limited")]
)
async def test_rejection_includes_its_reason_and_never_the_key(fake: Vendor, status: int, code: str) -> None:
    fake.play(json_reply({"error": {"code": status, "message": f"API key {KEY} is not valid.", "status": "X"}}, status))
    with pytest.raises(SpeechError, match=r"API key \[secret\] is not valid") as caught:
        await made(fake.url).transcribe(recorded())
    assert caught.value.code == code


async def test_silent_vendor_times_out(fake: Vendor) -> None:
    fake.play(Reply(ending="silent from the start"))
    with pytest.raises(SpeechError) as caught:
        await spoken(made(fake.url, idle=0.1), said())
    assert caught.value.code == "provider_timeout"


def service_account(url: str, folder: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "account.json"
    account = {
        "type": "service_account",
        "client_email": "speech@example.com",
        "private_key": key.private_bytes(*form).decode(),
        "private_key_id": "1",
        "token_uri": f"{url}/token",
    }
    path.write_text(json.dumps(account))
    return path


async def test_service_account_fetches_one_token_and_sends_it(fake: Vendor, tmp_path: Path) -> None:
    fake.play(json_reply({"access_token": "a-token", "expires_in": 3_600, "token_type": "Bearer"}), audio(), audio())
    provider = made(fake.url, credential_headers(service_account(fake.url, tmp_path)))
    await spoken(provider, said())
    await spoken(provider, said())
    assert [asked.path for asked in fake.asked] == ["/token", "/v1/text:synthesize", "/v1/text:synthesize"]
    assert fake.asked[1].headers["authorization"] == "Bearer a-token"


async def test_account_without_a_token_is_reported_without_its_secrets(fake: Vendor, tmp_path: Path) -> None:
    fake.play(json_reply({"error": "invalid_grant"}, 400))
    with pytest.raises(SpeechError, match="there are no credentials") as caught:
        await spoken(made(fake.url, credential_headers(service_account(fake.url, tmp_path))), said())
    assert caught.value.code == "provider_auth"
    assert "PRIVATE KEY" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "not json", "{}", '{"type": "something"}'])
async def test_invalid_credentials_file_is_reported(fake: Vendor, tmp_path: Path, text: str) -> None:
    path = tmp_path / "account.json"
    path.write_text(text)
    with pytest.raises(SpeechError, match="GOOGLE_SPEECH_CREDENTIALS") as caught:
        await spoken(made(fake.url, credential_headers(path)), said())
    assert caught.value.code == "provider_auth"


async def test_default_credentials_are_looked_up(fake: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(fake.url, tmp_path)))
    fake.play(json_reply({"access_token": "a-token", "expires_in": 3_600, "token_type": "Bearer"}), audio())
    assert await spoken(made(fake.url, credential_headers(None)), said()) == [b"audio"]
