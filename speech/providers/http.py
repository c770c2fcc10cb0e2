"""Requests to a vendor's HTTP API, and what their failures mean. No key is ever in an error."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec

from speech.base import ErrorCode, SpeechError, Timeouts

MAX_ANSWER_BYTES: Final = 64 * 2**20
"""Of an answer that is read whole."""

MAX_ERROR_BYTES: Final = 16 * 1_024
MAX_ERROR_CHARACTERS: Final = 500
AUTH: Final = frozenset({401, 403})
MASK: Final = "[secret]"
SHORTEST_SECRET: Final = 8


class Vendor:
    """One vendor's API at `base_url`. `secrets` are taken out of whatever it says."""

    def __init__(self, base_url: str, *, timeouts: Timeouts, secrets: tuple[str, ...] = ()) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeouts = timeouts
        self._secrets = tuple(secret for secret in secrets if len(secret) >= SHORTEST_SECRET)

    async def json(self, path: str, **request: Any) -> bytes:
        """The answer to a POST, whole. Raises `SpeechError`."""
        body = bytearray()
        async for chunk in self.stream(path, **request):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                message = f"the answer is larger than {MAX_ANSWER_BYTES} bytes"
                raise SpeechError(message, code="provider_protocol")
        return bytes(body)

    async def stream(self, path: str, **request: Any) -> AsyncGenerator[bytes]:
        """The answer to a POST, as it comes. Raises `SpeechError`."""
        async with self._telling(), self._session() as session:
            async with asyncio.timeout(self._timeouts.connect + self._timeouts.first_byte):
                response = await session.post(self._base_url + path, allow_redirects=False, **request)
            async with response:
                if response.status != 200:
                    raise await self._refusal(response)
                while chunk := await self._piece(response):
                    yield chunk

    async def _piece(self, response: aiohttp.ClientResponse) -> bytes:
        """What has come since, or nothing at the end."""
        async with asyncio.timeout(self._timeouts.idle):
            return await response.content.readany()

    def _session(self) -> aiohttp.ClientSession:
        """One for each request, which takes seconds: it belongs to whichever event loop asks."""
        timeout = aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect)
        return aiohttp.ClientSession(timeout=timeout, trust_env=False)

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """Turns what can go wrong on the way into a `SpeechError`."""
        try:
            yield
        except TimeoutError:
            message = "it did not answer in time"
            raise SpeechError(message, code="provider_timeout", retryable=True) from None
        except aiohttp.ClientPayloadError as error:
            message = f"the answer was cut off ({self._masked(str(error))})"
            raise SpeechError(message, code="provider_protocol", retryable=True) from None
        except (aiohttp.ClientError, OSError) as error:
            message = f"it cannot be reached ({self._masked(str(error) or type(error).__name__)})"
            raise SpeechError(message, code="provider_unavailable", retryable=True) from None

    async def _refusal(self, response: aiohttp.ClientResponse) -> SpeechError:
        said = self._masked(_said(await response.content.read(MAX_ERROR_BYTES)))
        code, retryable = _meaning(response.status)
        return SpeechError(
            f"it answered {response.status}: {said}" if said else f"it answered {response.status}",
            code=code,
            retryable=retryable,
            retry_after=_seconds(response.headers),
        )

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text[:MAX_ERROR_CHARACTERS]


def _meaning(status: int) -> tuple[ErrorCode, bool]:
    if status in AUTH:
        return "provider_auth", False
    if status == 429:
        return "provider_rate_limited", True
    if status in {408, 504}:
        return "provider_timeout", True
    return ("provider_unavailable", True) if status >= 500 else ("provider_rejected", False)


class _Failure(msgspec.Struct, frozen=True):
    message: str = ""


class _Body(msgspec.Struct, frozen=True):
    error: _Failure = _Failure()


def _said(body: bytes) -> str:
    """The message of an error, as both vendors give it; of another the beginning."""
    try:
        return msgspec.json.decode(body, type=_Body).error.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return " ".join(body.decode("utf-8", "replace").split())


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None
