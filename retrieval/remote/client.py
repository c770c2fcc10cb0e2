"""Requests for vectors. No error quotes a key, a text or an answer.

https://platform.openai.com/docs/api-reference/embeddings
"""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from access.network.outgoing_proxy import outgoing_proxy
from retrieval.base import ServiceError
from retrieval.remote.service import BudgetOf, EmbeddingService
from spending.accounts import Payer

SECONDS: Final = 12.0
"""Seconds of a request, with all attempts."""

ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 0.25
"""Seconds before the second attempt. They double before each further one."""

MAX_PAUSE_SECONDS: Final = 4.0
"""The longest time that the service may ask to wait. If it asks for more, the request fails."""

MAX_ANSWER_BYTES: Final = 32 * 2**20
MAX_DIMENSIONS: Final = 8_192
TOKENS_BESIDE: Final = 4
"""Tokens that a model adds to a text, at most."""

TOO_LONG: Final = frozenset({400, 413, 422})
"""The statuses of a service that refuses a text with more tokens than its model takes, among others."""

SHORT_CHARS: Final = 300
"""Characters of each text, if the service refuses whole ones. Every model takes so many, in any language."""

REFUSALS: Final = {
    400: "it refuses the request, or the model",
    401: "it refuses the key",
    403: "it refuses the key",
    404: "it does not have the model, or this API",
    429: "it allows no more requests now",
}


class EmbeddingClient:
    """The client of one service."""

    def __init__(self, service: EmbeddingService, budget_of: BudgetOf) -> None:
        self.service = service
        self._budget_of = budget_of

    async def vectors(self, texts: Sequence[str], payer: Payer) -> list[list[float]]:
        """Return the vector of each text, which the payer pays for. Raises `ServiceError`."""
        budget = self._budget_of(payer)
        # No tokenizer makes more tokens of a text than it has bytes.
        most = sum(len(text.encode("utf-8", "replace")) + TOKENS_BESIDE for text in texts)
        await budget.spend(most)
        try:
            async with asyncio.timeout(SECONDS):
                body = await self._answer(list(texts))
            vectors, used = self._decoded(body, len(texts))
        except TimeoutError:
            await budget.settle(0)
            raise self._error("did not answer in time") from None
        except ServiceError:
            await budget.settle(0)
            raise
        except OSError:
            await budget.settle(0)
            raise self._error("cannot be reached: a certificate or a key of PROVIDERS_FILE is damaged") from None
        await budget.settle(most if used is None else min(max(used, 0), most))
        return vectors

    async def _answer(self, texts: list[str]) -> bytes:
        """Return the body of an answer, after some attempts. Raises `ServiceError` and `TimeoutError`."""
        # Requests come from threads, and a session belongs to one event loop.
        async with aiohttp.ClientSession(
            connector=_connector(self.service), trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            attempt = 1
            while True:
                problem, pause = "", PAUSE_SECONDS * 2 ** (attempt - 1)
                try:
                    async with session.post(
                        self.service.url,
                        data=msgspec.json.encode({"model": self.service.model, "input": texts}),
                        headers={**self.service.headers, "Content-Type": "application/json"},
                        # A redirect could send the key to another host.
                        allow_redirects=False,
                        proxy=None if self.service.unix_socket else outgoing_proxy(self.service.url),
                    ) as response:
                        if response.status == 200:
                            answer = bytearray()
                            async for chunk in response.content.iter_any():
                                answer += chunk
                                if len(answer) > MAX_ANSWER_BYTES:
                                    raise self._error(f"answered with more than {MAX_ANSWER_BYTES} bytes")
                            return bytes(answer)
                        if response.status in TOO_LONG and any(len(text) > SHORT_CHARS for text in texts):
                            # Otherwise one text that is too long would keep all others from having vectors.
                            texts = [text[:SHORT_CHARS] for text in texts]
                            continue
                        problem = f"answered {response.status}"
                        problem += f": {REFUSALS[response.status]}" if response.status in REFUSALS else ""
                        if response.status != 429 and response.status < 500:
                            raise self._error(problem)
                        # RFC 9110 (section 10.2.3) also allows a date, which is ignored.
                        with contextlib.suppress(ValueError):
                            pause = max(0.0, float(response.headers.get("Retry-After", "")))
                # The text of such an error may repeat a header or a URL.
                except (aiohttp.ClientError, OSError, ValueError) as error:
                    problem = f"cannot be reached ({type(error).__name__})"
                if attempt == ATTEMPTS or not pause <= MAX_PAUSE_SECONDS:
                    raise self._error(problem)
                attempt += 1
                await asyncio.sleep(pause)

    def _decoded(self, body: bytes, count: int) -> tuple[list[list[float]], int | None]:
        """Return the vectors in the order of their texts, and the tokens that were used. Raises `ServiceError`."""
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._error("gave an answer that has no vectors") from None
        places = [entry.index if entry.index is not None else at for at, entry in enumerate(answer.data)]
        dimensions = {len(entry.embedding) for entry in answer.data}
        if sorted(places) != list(range(count)):
            raise self._error("did not give one vector for each text")
        if len(dimensions) != 1 or not 1 <= min(dimensions) <= MAX_DIMENSIONS:
            raise self._error(f"gave vectors of different dimensions, or not of 1 to {MAX_DIMENSIONS}")
        entries = sorted(zip(places, answer.data, strict=True), key=lambda pair: pair[0])
        return [entry.embedding for _, entry in entries], answer.usage.prompt_tokens if answer.usage else None

    def _error(self, problem: str) -> ServiceError:
        return ServiceError(f"The embedding service {self.service.name} {problem}.")


class _Entry(msgspec.Struct, frozen=True):
    embedding: list[float]
    index: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None


class _Answer(msgspec.Struct, frozen=True):
    data: list[_Entry]
    usage: _Usage | None = None


def _connector(service: EmbeddingService) -> aiohttp.BaseConnector:
    if service.unix_socket:
        return aiohttp.UnixConnector(str(service.unix_socket))
    context = ssl.create_default_context()
    if service.ca_file:
        context.load_verify_locations(service.ca_file)
    if service.client_certificate:
        context.load_cert_chain(service.client_certificate, service.client_key)
    return aiohttp.TCPConnector(ssl=context)
