"""An embedding service on 127.0.0.1, whose vectors count the words of a text."""

from typing import Any

from aiohttp import web

from retrieval.remote.client import EmbeddingClient
from retrieval.remote.reader import ServiceReader
from retrieval.remote.service import Budget, BudgetOf, EmbeddingService
from spending.accounts import Payer
from tests.retrieval.sources import WordReader
from tests.speech.vendor import Vendor, json_reply

KEY = "sk-a-key-of-the-tests"


class EmbeddingVendor(Vendor):
    """A vendor that answers with vectors of `dimensions`, once its scripted replies have been played."""

    dimensions = 32

    async def handle(self, request: web.Request) -> web.StreamResponse:
        texts = (await request.json())["input"]
        if not self._replies:
            self.play(json_reply(self.answer(texts)))
        return await super().handle(request)

    def answer(self, texts: list[str]) -> dict[str, Any]:
        made = WordReader().vectors(texts)
        rows = [{"index": at, "embedding": self._folded(vector)} for at, vector in enumerate(made)]
        # The order of the rows is not that of the texts.
        return {"data": rows[::-1], "usage": {"prompt_tokens": sum(len(text.split()) for text in texts)}}

    def _folded(self, vector: bytes) -> list[float]:
        return [sum(vector[at :: self.dimensions]) / 127 for at in range(self.dimensions)]


class Bookings:
    """Budgets that note what is booked and settled."""

    def __init__(self) -> None:
        self.booked: list[int] = []
        self.settled: list[int] = []
        self.payers: list[Payer] = []

    def of(self, payer: Payer) -> Budget:
        self.payers.append(payer)
        return self

    async def spend(self, tokens: int) -> None:
        self.booked.append(tokens)

    async def settle(self, tokens: int) -> None:
        self.settled.append(tokens)


def service_at(url: str, **changes: Any) -> EmbeddingService:
    fields = {"name": "openai", "model": "words", "url": f"{url}/v1/embeddings?api-version=1", **changes}
    return EmbeddingService(headers={"Authorization": f"Bearer {KEY}"}, **fields)


def reader_of(service: EmbeddingService, budget_of: BudgetOf) -> ServiceReader:
    return ServiceReader(WordReader(), EmbeddingClient(service, budget_of))
