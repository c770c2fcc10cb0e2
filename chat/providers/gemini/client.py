"""Google's SDK over our own connections, which have time limits and can be closed early."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from contextvars import ContextVar
from typing import Final, cast

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from google import genai
from google.genai import types

from chat.providers.base import Timeouts

API_VERSION: Final = "v1beta"
MAX_LISTED_MODELS: Final = 1000

CONNECTION: Final[ContextVar[ExitStack | None]] = ContextVar("connection", default=None)
"""The exit stack of the current request, to which `_close_with_stream` adds its response."""

UNUSED_CLIENT: Final = {"trust_env": False}

Chunks = AsyncGenerator[types.GenerateContentResponse]


class Client:
    """The service at `base_url`. Methods raise the SDK's errors and `TimeoutError`."""

    def __init__(self, *, api_key: str, base_url: str, timeouts: Timeouts) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._timeouts = timeouts
        self._session: aiohttp.ClientSession | None = None
        self._sdk: genai.Client | None = None

    def open(self) -> genai.Client:
        """Return the SDK's client, made once, inside the event loop. This opens no connection."""
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_end.append(_close_with_stream)
            self._session = aiohttp.ClientSession(
                connector=_Connector(seconds=self._timeouts.connect), trace_configs=[tracing], trust_env=True
            )
        if self._sdk is None:
            # This reads the file of certificates that a variable may name, and may fail.
            self._sdk = genai.Client(
                vertexai=False,
                api_key=self._api_key,
                http_options=types.HttpOptions(
                    base_url=self._base_url,
                    api_version=API_VERSION,
                    aiohttp_client=self._session,
                    # The SDK makes clients that are not used here, and that would fail for some proxy variables.
                    client_args=UNUSED_CLIENT,
                    async_client_args=UNUSED_CLIENT,
                    retry_options=types.HttpRetryOptions(attempts=1),
                ),
            )
        return self._sdk

    async def chunks(self, model: str, config: types.GenerateContentConfig) -> Chunks:
        """Yield the chunks of one answer. The contents are in `config`."""
        stream = await self.open().aio.models.generate_content_stream(
            model=model, contents=types.Content(role="user"), config=config
        )
        with ExitStack() as connection:
            async with aclosing(cast("Chunks", stream)) as chunks:
                # The SDK sends the request with the first chunk, in the context of this call.
                token = CONNECTION.set(connection)
                try:
                    async with asyncio.timeout(self._timeouts.first_byte):
                        chunk = await anext(chunks, None)
                finally:
                    CONNECTION.reset(token)
                while chunk is not None:
                    yield chunk
                    async with asyncio.timeout(self._timeouts.idle):
                        chunk = await anext(chunks, None)

    async def models(self) -> list[str]:
        """Return the names of models that generate content, at most `MAX_LISTED_MODELS`."""
        async with asyncio.timeout(self._timeouts.first_byte):
            pager = await self.open().aio.models.list(config=types.ListModelsConfig(page_size=MAX_LISTED_MODELS))
            names: list[str] = []
            async for model in pager:
                if model.name and "generateContent" in (model.supported_actions or ()):
                    names.append(model.name.removeprefix("models/"))
                if len(names) == MAX_LISTED_MODELS:
                    break
            return names

    async def close(self) -> None:
        if self._sdk:
            await self._sdk.aio.aclose()
            self._sdk.close()
        if self._session:
            await self._session.close()


class _Connector(aiohttp.TCPConnector):
    """A connector with a time limit to connect, which the SDK does not set."""

    def __init__(self, *, seconds: float) -> None:
        # Streams are long, and aiohttp's default of 100 connections would make the others wait.
        super().__init__(limit=0)
        self._within = aiohttp.ClientTimeout(sock_connect=seconds)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        return await super().connect(req, traces, self._within)


async def _close_with_stream(
    session: aiohttp.ClientSession, context: object, params: aiohttp.TraceRequestEndParams
) -> None:
    """Close the response with its stream. The SDK leaves it open if the reader stops early."""
    if connection := CONNECTION.get():
        connection.callback(params.response.close)
