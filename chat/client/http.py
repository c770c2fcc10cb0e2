"""A service that runs elsewhere, over HTTP: `docs/protocol.md`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec

from chat.client.events import Frame, Reader
from chat.client.transport import Lost, Question, Reconnecting, Refused
from chat.wire import sse

ATTEMPTS: Final = 8
"""How often in a row a run is followed anew without anything of it coming."""

FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 4.0
"""Seconds before the first attempt; each other one waits twice as long as the one before it, at most this."""

TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
"""A service that lives sends at least a ping within the last of these (seconds)."""

MAX_ERROR_BYTES: Final = 64 * 1_024


class Cut(Exception):
    """The connection broke, or there was none."""


class HttpTransport:
    """The service at `url`, which is shown `api_key` where there is one."""

    def __init__(self, url: str, *, api_key: str = "", first_wait: float = FIRST_WAIT) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._first_wait = first_wait

    async def ask(self, question: Question) -> AsyncGenerator[Frame | Reconnecting]:
        reader, attempt = Reader(), 0
        while True:
            seen, why = reader.last, "the stream ended early"
            try:
                async with aclosing(self._frames(question, reader)) as frames:
                    async for frame in frames:
                        yield frame
                        if frame.is_last:
                            return
            except Cut as cut:
                why = str(cut)
            if not reader.run_id:
                raise Refused(f"Cannot reach {self._url}: {why}. Is the service running there (manage.py serve)?")
            attempt = 1 if reader.last > seen else attempt + 1
            if attempt > ATTEMPTS:
                raise Lost(f"The run {reader.run_id} cannot be followed any more: {why}.")
            notice = self._notice(attempt, why)
            yield notice
            await asyncio.sleep(notice.seconds)

    async def cancel(self, run_id: str) -> None:
        try:
            async with self._request("POST", f"/chat/runs/{run_id}/cancel") as response:
                await _check(response)
        except Cut as cut:
            raise Lost(f"The service could not be told to stop: {cut}.") from None

    async def close(self) -> None:
        """Nothing stays open."""

    async def _frames(self, question: Question, reader: Reader) -> AsyncGenerator[Frame]:
        """The run's next events: of a new run, or of the one that is followed already."""
        if reader.run_id:
            reader.cut()
            opening = self._request("GET", f"/chat/runs/{reader.run_id}/stream", params={"after": str(reader.last)})
        else:
            opening = self._request("POST", "/chat/stream", json=_body(question))
        async with opening as response:
            if reader.run_id and response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise Cut(f"the service answers {response.status}")
            await _check(response)
            if response.content_type != sse.CONTENT_TYPE:
                raise Refused(f"{self._url} is another service: it answers with {response.content_type}.")
            reader.run_id = response.headers.get("X-Run-Id", reader.run_id)
            async for segment in response.content.iter_any():
                for frame in _read(reader, segment):
                    yield frame

    @asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request on a connection of its own. Raises `Cut`."""
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=TIMEOUT) as session,
                session.request(method, self._url + path, **options) as response,
            ):
                yield response
        except (aiohttp.ClientError, OSError) as error:
            raise Cut(_why(error)) from None

    def _notice(self, attempt: int, why: str) -> Reconnecting:
        seconds = min(LONGEST_WAIT, self._first_wait * 2 ** (attempt - 1))
        return Reconnecting(attempt=attempt, most=ATTEMPTS, seconds=seconds, why=why)


def _body(question: Question) -> dict[str, Any]:
    fields = msgspec.to_builtins(question)
    return {name: value for name, value in fields.items() if value is not None and value != []}


async def _check(response: aiohttp.ClientResponse) -> None:
    """Raises `Refused` with what the service says of a request that it did not take."""
    if response.status == HTTPStatus.NO_CONTENT:
        raise Refused("The run is over, and all of it was received.")
    if response.status != HTTPStatus.OK:
        raise Refused(_refusal(response, await response.content.read(MAX_ERROR_BYTES)))


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).strip() or type(error).__name__


def _read(reader: Reader, segment: bytes) -> Iterator[Frame]:
    try:
        yield from reader.feed(segment)
    except ValueError as error:
        raise Lost(f"The service cannot be understood: {error}.") from None


def _refusal(response: aiohttp.ClientResponse, body: bytes) -> str:
    try:
        told = str(msgspec.json.decode(body)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        told = f"The service answers {response.status} {response.reason}."
    hint = " Give the key with --api-key, or in API_KEY." if response.status == HTTPStatus.UNAUTHORIZED else ""
    return told + hint
