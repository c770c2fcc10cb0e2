"""Google's SDK over connections of our own, which are bounded in time and can be hung up."""

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
"""Where the request that is being made leaves how to end it."""

Chunks = AsyncGenerator[types.GenerateContentResponse]


class Client:
    """The service at `base_url`. Methods raise what the SDK raises, and `TimeoutError`."""

    def __init__(self, *, api_key: str, base_url: str, timeouts: Timeouts) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._timeouts = timeouts
        self._session: aiohttp.ClientSession | None = None
        self._sdk: genai.Client | None = None

    def open(self) -> genai.Client:
        """The SDK's client, made once, inside the event loop; this opens no connection."""
        if self._sdk is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(seconds=self._timeouts.connect), trace_configs=[_holding()], trust_env=True
            )
            self._sdk = genai.Client(
                vertexai=False,
                api_key=self._api_key,
                http_options=types.HttpOptions(
                    base_url=self._base_url,
                    api_version=API_VERSION,
                    aiohttp_client=self._session,
                    retry_options=types.HttpRetryOptions(attempts=1),
                ),
            )
        return self._sdk

    async def chunks(self, model: str, config: types.GenerateContentConfig) -> Chunks:
        """The chunks of one answer. The contents stand in `config`."""
        stream = await self.open().aio.models.generate_content_stream(
            model=model, contents=types.Content(role="user"), config=config
        )
        with ExitStack() as connection:
            async with aclosing(cast("Chunks", stream)) as chunks:
                chunk = await self._first(chunks, connection)
                while chunk is not None:
                    yield chunk
                    async with asyncio.timeout(self._timeouts.idle):
                        chunk = await anext(chunks, None)

    async def _first(self, chunks: Chunks, connection: ExitStack) -> types.GenerateContentResponse | None:
        token = CONNECTION.set(connection)
        try:
            async with asyncio.timeout(self._timeouts.first_byte):
                return await anext(chunks, None)
        finally:
            CONNECTION.reset(token)

    async def models(self) -> list[str]:
        """The names of the models that generate content, at most `MAX_LISTED_MODELS`."""
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
        if self._sdk and self._session:
            await self._sdk.aio.aclose()
            self._sdk.close()
            await self._session.close()


class _Connector(aiohttp.TCPConnector):
    """Bounds the time to connect, which the SDK leaves open, and not the number of connections."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__(limit=0)
        self._within = aiohttp.ClientTimeout(sock_connect=seconds)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        return await super().connect(req, traces, self._within)


async def _hold(session: aiohttp.ClientSession, context: object, params: aiohttp.TraceRequestEndParams) -> None:
    """Lets a stream close its response, which the SDK hides, and leaves open where its reader stops early."""
    if connection := CONNECTION.get():
        connection.callback(params.response.close)


def _holding() -> aiohttp.TraceConfig:
    tracing = aiohttp.TraceConfig()
    tracing.on_request_end.append(_hold)
    return tracing
