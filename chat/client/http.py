"""The transport over HTTP, to a service that runs elsewhere: `docs/protocol.md`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec

from chat.client.events import Frame, Reader
from chat.client.transport import Item, Lost, Question, Reconnecting, Refused, Verdict
from chat.wire import sse
from command_line.program import PROGRAM

ATTEMPTS: Final = 8
"""Consecutive attempts to follow a run again without receiving anything."""

FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 4.0
"""The longest wait before an attempt, in seconds. Each attempt waits twice as long as the one before it."""

# A live service sends at least a ping within `sock_read` seconds.
TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)

MAX_ERROR_BYTES: Final = 64 * 1_024


class Cut(Exception):
    """The connection broke, or could not be opened."""


class HttpTransport:
    """The service at `url`. `api_key` is sent if it is given."""

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
            # Without a run's id the request may not have arrived, and sending it again could start a second run.
            if not reader.run_id:
                raise Refused(f"Cannot reach {self._url}: {why}. Is the service running there ({PROGRAM} serve)?")
            attempt = 1 if reader.last > seen else attempt + 1
            if attempt > ATTEMPTS:
                raise Lost(f"The run {reader.run_id} cannot be followed any more: {why}.")
            seconds = min(LONGEST_WAIT, self._first_wait * 2 ** (attempt - 1))
            yield Reconnecting(attempt=attempt, max_attempts=ATTEMPTS, seconds=seconds, why=why)
            await asyncio.sleep(seconds)

    async def cancel(self, run_id: str) -> None:
        try:
            async with self._request("POST", f"/chat/runs/{run_id}/cancel") as response:
                await _check(response)
        except Cut as cut:
            raise Lost(f"The run could not be cancelled: {cut}.") from None

    async def compact(self, session_id: str) -> Item:
        path, headers = f"/chat/sessions/{session_id}/compact", {"Accept": "application/json"}
        run: Item = await self._json("POST", path, headers=headers)
        return run

    async def execution(self, execution_id: str) -> Item:
        found: Item = await self._json("GET", f"/tools/executions/{execution_id}")
        return found

    async def decide(self, execution_id: str, verdict: Verdict, params_sha256: str) -> None:
        await self._json("POST", f"/tools/executions/{execution_id}/{verdict}", json={"params_sha256": params_sha256})

    async def tools(self) -> Sequence[Item]:
        return list((await self._json("GET", "/tools"))["items"])

    async def providers(self) -> Sequence[Item]:
        return list((await self._json("GET", "/providers"))["items"])

    async def sessions(self, most: int) -> Sequence[Item]:
        return list((await self._json("GET", "/chat/sessions", params={"limit": str(most)}))["items"])

    async def close(self) -> None:
        """Do nothing: each request has its own connection."""

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON of a response. Raise `Refused` and `Lost`."""
        try:
            async with self._request(method, path, **options) as response:
                await _check(response)
                return msgspec.json.decode(await response.read())
        except Cut as cut:
            raise Lost(f"Cannot reach {self._url}: {cut}.") from None
        except msgspec.DecodeError as error:
            raise Lost(f"The answer of the service cannot be read: {error}.") from None

    async def _frames(self, question: Question, reader: Reader) -> AsyncGenerator[Frame]:
        """Yield the events of a new run, or the next events of the run that is already followed."""
        if reader.run_id:
            reader.cut()
            opening = self._request("GET", f"/chat/runs/{reader.run_id}/stream", params={"after": str(reader.last)})
        else:
            fields = msgspec.to_builtins(question)
            body = {name: value for name, value in fields.items() if value is not None and value != []}
            opening = self._request("POST", "/chat/stream", json=body)
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
        """Send one request on a connection of its own. Raise `Cut`."""
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=TIMEOUT) as session,
                session.request(method, self._url + path, **options) as response,
            ):
                yield response
        except (aiohttp.ClientError, OSError) as error:
            # Some errors have no text, and that of others repeats the address.
            raise Cut(getattr(error, "strerror", None) or str(error).strip() or type(error).__name__) from None


def _read(reader: Reader, segment: bytes) -> Iterator[Frame]:
    try:
        yield from reader.feed(segment)
    except ValueError as error:
        raise Lost(f"The answer of the service cannot be read: {error}.") from None


async def _check(response: aiohttp.ClientResponse) -> None:
    """Raise `Refused` with the service's own error if it rejected the request."""
    if response.status == HTTPStatus.NO_CONTENT:
        raise Refused("The run is over, and all of it was received.")
    if response.status == HTTPStatus.OK:
        return
    try:
        error = str(msgspec.json.decode(await response.content.read(MAX_ERROR_BYTES))["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        error = f"The service answers {response.status} {response.reason}."
    hint = " Set the key with --api-key or API_KEY." if response.status == HTTPStatus.UNAUTHORIZED else ""
    raise Refused(error + hint)
