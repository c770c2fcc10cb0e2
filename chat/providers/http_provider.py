"""The base class of providers whose answers are streams of events over our own connections."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import urlsplit

from chat.engine.model_port import CompletionEvent, CompletionRequest, ProviderError, Text
from chat.engine.text import whole_text
from chat.providers.base import Provider, Silence, Timeouts
from chat.providers.event_reader import EventReader
from chat.providers.refusals import read_body, refusal, retry_after
from chat.providers.streaming_http import Answer, BrokenConnection, Connections

USER_AGENT: Final = "orchestrator-service"
USAGE_SECONDS: Final = 5.0
"""Seconds to wait for the usage after a finish reason."""

MAX_LISTING_BYTES: Final = 8 * 2**20
MAX_ERROR_BYTES: Final = 16 * 1_024
MAX_ERROR_CHARACTERS: Final = 500
MIN_SECRET_CHARACTERS: Final = 8
"""Shorter values of headers and queries, such as `1`, are no secrets."""


class HttpProvider(Provider):
    """A service whose answers come over `connections`. The `secrets` are masked in its errors."""

    def __init__(
        self, name: str, default_model: str, timeouts: Timeouts, *, connections: Connections, secrets: Sequence[str]
    ) -> None:
        self.name = name
        self.default_model = default_model
        self._timeouts = timeouts
        self._connections = connections
        self._secrets = secrets

    @abstractmethod
    def reader(self, request: CompletionRequest) -> EventReader:
        """Return a reader of the answer to a request."""

    @abstractmethod
    async def ask(self, request: CompletionRequest) -> Answer:
        """Send a request. Raise `BrokenConnection`."""

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        reading = self.reader(request)
        asked: CompletionRequest | None = request
        while asked is not None:
            clock = _Clock(self._timeouts)
            try:
                async with asyncio.timeout_at(clock.deadline):
                    response = await self.ask(asked)
            except (BrokenConnection, TimeoutError) as error:
                raise self._cut(error, silenced=isinstance(error, TimeoutError)) from error
            silence = clock.start(response)
            try:
                if response.status != HTTPStatus.OK:
                    raise self.note_refusal(await self._refusal(response), request.model)
                while not reading.done and (segment := await response.read()):
                    pieces = reading.take(segment)
                    if reading.reasoning.fresh:
                        yield reading.reasoning.take()
                    if pieces:
                        yield Text(pieces)
                    clock.note(reading)
            except BrokenConnection as error:
                reading.fail(self._cut(error, silenced=silence.over))
            finally:
                silence.stop()
                response.close()
            asked = reading.continuation()
        try:
            for event in reading.rest():
                yield event
        except ProviderError as error:
            raise self._cleaned(error) from error.__cause__

    async def close(self) -> None:
        self._connections.close()

    async def _read_list(self, listing: Connections) -> str:
        """Return the service's list of models as it sent it. Raise `ProviderError`."""
        try:
            async with asyncio.timeout(self._timeouts.connect):
                response = await listing.get()
                try:
                    if response.status != HTTPStatus.OK:
                        raise await self._refusal(response)
                    return (await response.read_up_to(MAX_LISTING_BYTES)).decode("utf-8", "replace")
                finally:
                    response.close()
        except (BrokenConnection, TimeoutError) as error:
            raise self._cut(error, silenced=isinstance(error, TimeoutError)) from error

    def note_refusal(self, error: ProviderError, model: str) -> ProviderError:
        """Learn from a refused request, if there is something to learn. Return the error to raise."""
        return error

    async def _refusal(self, response: Answer) -> ProviderError:
        if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
            # Following it would send the key to another place.
            place = urlsplit(response.headers.get("location", ""))
            to = f"{place.scheme}://{place.hostname}{place.path}" if place.hostname else place.path
            message = f"{self.name} answered {response.status}: a redirect to {to}, which is not followed."
            return ProviderError(self._clean(message), code="provider_rejected", retryable=False)
        error = read_body((await response.read_up_to(MAX_ERROR_BYTES)).decode("utf-8", "replace"))
        message = self._clean(f"{self.name} answered {response.status}: {whole_text(error.message)}")
        return refusal(response.status, error.code, message, retry_after(response.headers.get("retry-after", "")))

    def _cut(self, error: Exception, *, silenced: bool) -> ProviderError:
        if silenced:
            return ProviderError(f"{self.name} did not answer in time.", code="provider_timeout", retryable=True)
        message = self._clean(f"{self.name} cannot be reached, or broke off: {error}")
        return ProviderError(message, code="provider_unavailable", retryable=True)

    def _cleaned(self, error: ProviderError) -> ProviderError:
        return ProviderError(
            self._clean(str(error)), code=error.code, retryable=error.retryable, retry_after=error.retry_after
        )

    def _clean(self, message: str) -> str:
        for secret in self._secrets:
            message = message.replace(secret, "***") if len(secret) >= MIN_SECRET_CHARACTERS else message
        return message[:MAX_ERROR_CHARACTERS]


class _Clock:
    """The time limits of one answer: until something of it arrives, then between its bytes, then for its usage."""

    # Some services send the head, or comments, before they have read the prompt: neither ends the wait for the answer.

    def __init__(self, timeouts: Timeouts) -> None:
        self.deadline = asyncio.get_running_loop().time() + timeouts.first_byte
        self._idle = timeouts.idle
        self._silence: Silence | None = None
        self._phase: Literal["waiting", "reading", "finished"] = "waiting"

    def start(self, response: Answer) -> Silence:
        """Limit the time of a response whose head has arrived."""
        left = self.deadline - asyncio.get_running_loop().time()
        self._silence = Silence(max(0.0, left), response.abort)
        return self._silence

    def note(self, reading: EventReader) -> None:
        """Note that bytes have arrived, and whether the answer has begun or finished with them."""
        if self._silence is None or self._phase == "finished":
            return
        if reading.finished:
            self._phase = "finished"
            self._silence.restart(min(self._idle, USAGE_SECONDS))
        elif self._phase == "reading":
            self._silence.note()
        elif reading.begun:
            self._phase = "reading"
            self._silence.restart(self._idle)
