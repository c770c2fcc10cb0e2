"""Requests to a vendor's HTTP API, and their failures as `SpeechError`. No error contains a key."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

import aiohttp
import msgspec

from speech.base import ErrorCode, SpeechError, Timeouts
from web.urls import endpoint

# The largest answer that is held in memory as a whole.
MAX_ANSWER_BYTES: Final = 64 * 2**20

MAX_ERROR_BYTES: Final = 16 * 1_024
MAX_ERROR_CHARACTERS: Final = 500
AUTH: Final = frozenset({401, 403})
MASK: Final = "[secret]"
# Shorter secrets would mask ordinary words.
MIN_SECRET_LENGTH: Final = 8


class Vendor:
    """The API of a vendor at `base_url`. `secrets` are masked in its error messages."""

    def __init__(self, base_url: str, *, timeouts: Timeouts, secrets: tuple[str, ...] = ()) -> None:
        self._base_url = base_url
        self._timeouts = timeouts
        self._secrets = tuple(secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH)

    async def json(self, path: str, **request: Any) -> bytes:
        """Send a POST request, and return the whole answer. Raises `SpeechError`."""
        body = bytearray()
        async for chunk in self.stream(path, **request):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                message = f"the answer is larger than {MAX_ANSWER_BYTES} bytes"
                raise SpeechError(message, code="provider_protocol")
        return bytes(body)

    async def stream(self, path: str, **request: Any) -> AsyncGenerator[bytes]:
        """Send a POST request, and yield the answer as it arrives. Raises `SpeechError`."""
        # No total timeout, because a long synthesis may stream for minutes. The idle timeout bounds each read instead.
        timeout = aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect)
        # A session belongs to one event loop, and requests come from several. A request takes seconds, so a pool of
        # connections would save little.
        async with self._speech_errors(), aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            async with asyncio.timeout(self._timeouts.connect + self._timeouts.first_byte):
                # A redirect could send the key to another host.
                response = await session.post(endpoint(self._base_url, path), allow_redirects=False, **request)
            async with response:
                if response.status != 200:
                    raise await self._refusal(response)
                while True:
                    # The timeout must not span the `yield`: the time that the consumer takes does not count.
                    async with asyncio.timeout(self._timeouts.idle):
                        chunk = await response.content.readany()
                    if not chunk:
                        return
                    yield chunk

    @contextlib.asynccontextmanager
    async def _speech_errors(self) -> AsyncIterator[None]:
        """Raise the failures of the connection as `SpeechError`."""
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
        body = await response.content.read(MAX_ERROR_BYTES)
        try:
            # Both vendors use this form. The error of a proxy before them is quoted as it is.
            reason = msgspec.json.decode(body, type=_Body).error.message
        except (msgspec.DecodeError, UnicodeDecodeError):
            reason = " ".join(body.decode("utf-8", "replace").split())
        reason = self._masked(reason)
        retry_after: float | None = None
        # RFC 9110 (section 10.2.3) also allows a date, which is ignored.
        with contextlib.suppress(ValueError):
            retry_after = max(0.0, float(response.headers.get("Retry-After", "")))
        code, retryable = _code_of(response.status)
        return SpeechError(
            f"it answered {response.status}: {reason}" if reason else f"it answered {response.status}",
            code=code,
            retryable=retryable,
            retry_after=retry_after,
        )

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text[:MAX_ERROR_CHARACTERS]


def _code_of(status: int) -> tuple[ErrorCode, bool]:
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
