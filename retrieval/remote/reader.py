"""A reader whose vectors come from an embedding service. Content is still read in a worker process."""

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from retrieval.base import Kind, Piece, Reader, ServiceError
from retrieval.remote.client import EmbeddingClient
from retrieval.worker.embedding import SCALE
from spending.accounts import Payer

TEXTS_A_REQUEST: Final = 64
NO_NUMPY: Final = "numpy, which compares vectors, is not installed; run uv sync --extra local --no-dev --inexact"


class ServiceReader:
    """The reader of content, and the client of the service that makes vectors of its texts."""

    texts_at_once = TEXTS_A_REQUEST
    leaves_machine = True

    def __init__(self, content: Reader, client: EmbeddingClient) -> None:
        self.missing = client.service.missing or ("" if find_spec("numpy") else NO_NUMPY)
        self.model = f"{client.service.name}:{client.service.model}"
        self._content = content
        self._client = client

    def pieces(self, kind: Kind, data: bytes) -> list[Piece]:
        """Return the pieces of a content. Raises `DocumentError`."""
        return self._content.pieces(kind, data)

    def vectors(self, texts: Sequence[str], payer: Payer, /) -> list[bytes]:
        """Return the vector of each text, which the payer pays for. Raises `ServiceError`."""
        import numpy as np  # noqa: PLC0415 - an optional part

        # Readers are called in threads, which have no event loop.
        made = np.array(asyncio.run(self._client.vectors(texts, payer)), dtype=np.float64)
        largest = np.abs(made).max(axis=1, keepdims=True)
        if not (np.isfinite(largest) & (largest > 0)).all():
            raise ServiceError("The embedding service gave a vector without a direction.")
        # The squares of large numbers would overflow.
        made /= largest
        scaled = np.rint(made / np.linalg.norm(made, axis=1, keepdims=True) * SCALE).astype(np.int8)
        return [row.tobytes() for row in scaled]
