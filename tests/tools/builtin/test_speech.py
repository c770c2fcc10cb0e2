import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from speech.audio.decoding import Decoder
from speech.budgets import CallBudget
from speech.service import SpeechService
from tests.conftest import Api, Start
from tests.speech.conftest import Make, fake, make
from tests.speech.recordings import accuracy, recording, silence
from tests.speech.vendor import Reply, Vendor, json_reply
from tests.streams import Answer
from tools.builtin import speech
from tools.models import ToolExecution
from tools.policy import PolicyInput, parse
from tools.registry import Registry
from tools.workspace import Limits, Workspace

__all__ = ("fake", "make")

TEXT = "The quick brown fox jumps over the lazy dog."
LOCAL = ("openai", "google")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = Workspace(tmp_path, limits=Limits(max_write_bytes=200_000))
    yield opened
    opened.close()


def registry(service: SpeechService, workspace: Workspace) -> Registry:
    return Registry(speech.tools(service, workspace, CallBudget))


@pytest.fixture
async def api(start: Start, make: Make, workspace: Workspace) -> Api:
    return await start(tools=registry(make(LOCAL, max_result_bytes=150_000), workspace))


async def called(api: Api, name: str, **params: Any) -> Answer:
    return await api.ask(tool_calls=[{"name": f"speech.{name}", "params": params}])


async def result(api: Api, name: str, **params: Any) -> Any:
    return (await called(api, name, **params)).one("tool_result")["data"]


async def error(api: Api, name: str, **params: Any) -> tuple[str, str]:
    event = (await called(api, name, **params)).one("tool_error")
    return event["code"], event["error"]


def encoded(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


async def test_examples_of_the_documentation_work(start: Start, make: Make, workspace: Workspace, fake: Vendor) -> None:
    api = await start(tools=registry(make(), workspace))
    fake.play(
        json_reply(
            {"text": "Hello world", "language": "english", "segments": [{"start": 0, "end": 1, "text": "Hello world"}]}
        ),
        Reply(pieces=(recording("mp3"),)),
    )
    transcript = await result(
        api, "transcribe", audio_base64=encoded(recording("wav")), provider="openai", language="en", model="whisper-1"
    )
    assert transcript["text"] == "Hello world"
    assert transcript["segments"] == [{"start": 0.0, "end": 1.0, "text": "Hello world"}]
    assert (transcript["language"], transcript["duration"], transcript["provider"], transcript["model"]) == (
        "en",
        1.0,
        "openai",
        "whisper-1",
    )
    said = await result(
        api, "synthesize", text="Hello world", provider="openai", voice="alloy", format="mp3", speed=1.0
    )
    assert base64.b64decode(said["audio_base64"]) == recording("mp3")
    assert {name: said[name] for name in ("format", "mime", "size", "provider", "voice", "model")} == {
        "format": "mp3",
        "mime": "audio/mpeg",
        "size": len(recording("mp3")),
        "provider": "openai",
        "voice": "alloy",
        "model": "tts-1",
    }


async def test_synthesized_speech_is_transcribed_without_a_key(api: Api) -> None:
    said = await result(api, "synthesize", text=TEXT, voice="alloy")
    assert said["provider"] == "local"
    assert "openai is not configured" in said["note"]
    transcript = await result(api, "transcribe", audio_base64=said["audio_base64"])
    assert accuracy(TEXT, transcript["text"]) >= 0.85


async def test_audio_is_written_to_the_workspace_and_read_from_it(api: Api, tmp_path: Path) -> None:
    said = await result(api, "synthesize", text=TEXT, path="out/hello.opus", format="opus")
    assert said["path"] == "out/hello.opus"
    assert "audio_base64" not in said
    assert (tmp_path / "out/hello.opus").stat().st_size == said["size"]
    transcript = await result(api, "transcribe", path="out/hello.opus")
    assert accuracy(TEXT, transcript["text"]) >= 0.85


async def test_complete_wav_contains_its_length(api: Api) -> None:
    said = await result(api, "synthesize", text="Hello.", format="wav")
    audio = base64.b64decode(said["audio_base64"])
    assert int.from_bytes(audio[4:8], "little") == len(audio) - 8
    assert sum(map(len, Decoder(audio, None, rate=16_000, max_seconds=9).blocks()))


async def test_silence_is_an_empty_text(api: Api) -> None:
    transcript = await result(api, "transcribe", audio_base64=encoded(silence(1.0)), format="pcm")
    assert (transcript["text"], transcript["segments"]) == ("", [])


UNHEARABLE: list[tuple[dict[str, Any], str, str]] = [
    ({}, "invalid_params", "either audio_base64 or path"),
    ({"audio_base64": "AAAA", "path": "a.wav"}, "invalid_params", "either audio_base64 or path"),
    ({"audio_base64": "not base64!"}, "invalid_params", "not base64"),
    ({"audio_base64": "UklGRigAAABXQVZFZm10..."}, "invalid_params", "not base64"),
    ({"audio_base64": "AAAAA"}, "invalid_params", "not base64"),
    ({"audio_base64": "data:audio/wav;base64,AAAA"}, "invalid_params", "not base64"),
    ({"audio_base64": "____"}, "invalid_params", "not base64"),
    ({"audio_base64": "ÄÄÄÄ"}, "invalid_params", "not base64"),
    ({"audio_base64": ""}, "invalid_params", "empty"),
    ({"audio_base64": "aGVsbG8="}, "invalid_params", "not audio"),
    ({"audio_base64": encoded(recording("flac")[:900])}, "invalid_params", "cut off"),
    ({"audio_base64": encoded(recording("wav")), "model": "whisper-9"}, "invalid_params", "tiny.en"),
    ({"audio_base64": encoded(recording("wav")), "language": "xx"}, "invalid_params", "Valid: en"),
    ({"audio_base64": encoded(recording("wav")), "provider": "azure"}, "invalid_params", "openai, google, local"),
    ({"audio_base64": encoded(recording("wav")), "provider": "openai"}, "disabled", "not configured"),
    ({"audio_base64": 5}, "invalid_params", "str"),
    ({"audio": "AAAA"}, "invalid_params", "audio_base64"),
    ({"path": "missing.wav"}, "not_found", "missing.wav"),
    ({"path": "../outside.wav"}, "outside_workspace", "outside"),
    ({"path": "/etc/passwd"}, "outside_workspace", "outside"),
    ({"path": ".env"}, "not_allowed", ".env"),
]


async def test_invalid_transcription_is_an_error(api: Api) -> None:
    for params, code, what in UNHEARABLE:
        found, message = await error(api, "transcribe", **params)
        assert (found, what in message) == (code, True), (str(params)[:100], message)


UNSAYABLE: list[tuple[dict[str, Any], str, str]] = [
    ({}, "invalid_params", "text"),
    ({"text": ""}, "invalid_params", "at least a word"),
    ({"text": "x" * 100_000}, "too_large", "SPEECH_MAX_CHARACTERS"),
    ({"text": "x", "speed": 0}, "invalid_params", "0.25 to 4"),
    ({"text": "x", "format": "midi"}, "invalid_params", "mp3, opus, aac, flac, wav, pcm"),
    ({"text": "x", "voice": "nobody"}, "invalid_params", "heart"),
    ({"text": "This is long. " * 20, "format": "wav"}, "too_large", "give a path"),
    ({"text": "This is long. " * 20, "format": "wav", "path": "a.wav"}, "too_large", "200000 bytes"),
    ({"text": "x", "path": "../a.mp3"}, "outside_workspace", "outside"),
    ({"text": "x", "path": ".git/a.mp3"}, "not_allowed", ".git"),
]


async def test_invalid_synthesis_is_an_error(api: Api) -> None:
    for params, code, what in UNSAYABLE:
        found, message = await error(api, "synthesize", **params)
        assert (found, what in message) == (code, True), (str(params)[:100], message)


async def test_vendor_failure_names_the_vendor(start: Start, make: Make, workspace: Workspace, fake: Vendor) -> None:
    api = await start(tools=registry(make(), workspace))
    fake.play(json_reply({"error": {"message": "down"}}, 503))
    assert await error(api, "synthesize", text="x", provider="openai") == (
        "failed",
        "openai: it answered 503: down",
    )


async def test_row_and_model_receive_a_hash_instead_of_audio(start: Start, make: Make, workspace: Workspace) -> None:
    model = Scripted([text("Done."), Finished(reason="stop")])
    api = await start(model, tools=registry(make(LOCAL), workspace))
    calls = [
        {"name": "speech.synthesize", "params": {"text": "Hello."}},
        {"name": "speech.transcribe", "params": {"audio_base64": encoded(recording("mp3"))}},
    ]
    answer = await api.ask(message="Say it.", tool_calls=calls)
    assert answer.text == "Done."
    audio = next(event["data"]["audio_base64"] for event in answer.events if event["type"] == "tool_result")
    assert base64.b64decode(audio)
    said, transcript = await sync_to_async(lambda: list(ToolExecution.objects.order_by("created")))()
    assert set(said.data["audio_base64"]) == {"sha256", "size"}
    assert set(transcript.params["audio_base64"]) == {"sha256", "size"}
    assert audio not in str(model.requests[0])
    assert said.data["sha256"] in str(model.requests[0])


async def test_disabled_speech_tools_report_the_reason(start: Start, make: Make, workspace: Workspace) -> None:
    service = make(LOCAL)
    service.disabled = "ENABLE_SPEECH is false"
    api = await start(tools=registry(service, workspace))
    code, message = await error(api, "synthesize", text="x")
    assert code == "disabled"
    assert "ENABLE_SPEECH is false" in message
    assert {tool.disabled for tool in speech.tools(service, workspace, CallBudget)} == {"ENABLE_SPEECH is false"}


def test_local_speech_needs_no_approval_and_remote_speech_does(make: Make, workspace: Workspace) -> None:
    for missing, effects, decided in (
        (LOCAL, ["read", "write"], "allow"),
        (("google",), ["network", "network"], "ask"),
    ):
        made = speech.tools(make(missing), workspace, CallBudget)
        assert [tool.effect for tool in made] == effects
        for tool in made:
            assert parse("").decide(PolicyInput(tool=tool.name, effect=tool.effect, source="model")) == decided


@pytest.mark.parametrize(("provider", "decided"), [("local", "allow"), ("openai", "ask"), (None, "ask")])
def test_rule_about_a_provider_applies_to_every_possible_provider(
    make: Make, workspace: Workspace, provider: str | None, decided: str
) -> None:
    (_, synthesize) = speech.tools(make(), workspace, CallBudget)
    params = synthesize.params(**json.loads(json.dumps({"text": "x", "provider": provider})))
    policy = parse("allow speech.* provider=local")
    assert (
        policy.decide(
            PolicyInput(
                tool=synthesize.name, effect=synthesize.effect, source="model", facets=synthesize.facets(params)
            )
        )
        == decided
    )
