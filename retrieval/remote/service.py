"""An embedding service as the operator names it, and the port to the budgets that pay for it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from spending.accounts import Payer


class EmbeddingService(msgspec.Struct, frozen=True, kw_only=True):
    """A service with OpenAI's embeddings API at `url`, and one of its models.

    `headers` carry the key. `ca_file`, `client_certificate` and `client_key` are for TLS. `missing` says why it cannot
    be used, or is empty. `price` returns the cost of a number of tokens in USD, or None if it is unknown.
    """

    name: str
    model: str
    url: str
    headers: Mapping[str, str] = {}
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    unix_socket: Path | None = None
    missing: str = ""
    price: Callable[[int], float | None] = lambda _: None


class Budget(Protocol):
    """The budgets that one request is paid from."""

    async def spend(self, tokens: int) -> None:
        """Book the cost of at most this many tokens. Raises `ServiceError` without booking anything."""
        ...

    async def settle(self, tokens: int) -> None:
        """Replace the booking with the cost of the tokens that were used; none if the request failed."""
        ...


BudgetOf = Callable[[Payer], Budget]
"""Returns the budgets of a payer, for one request."""
