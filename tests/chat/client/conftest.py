"""Transports of the terminal client, which are closed with the test."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chat.client.http import HttpTransport
from chat.client.in_process import InProcessTransport
from chat.client.transport import Transport
from tests.conftest import Api

To = Callable[[Api], Transport]
HttpTo = Callable[..., HttpTransport]


@pytest.fixture
async def http_to() -> AsyncIterator[HttpTo]:
    """Return a function that makes a transport to a URL."""
    made: list[HttpTransport] = []

    def make(url: str, **options: Any) -> HttpTransport:
        made.append(HttpTransport(url, **options))
        return made[-1]

    yield make
    for transport in made:
        await transport.close()


@pytest.fixture(params=["http", "inside"])
def transport_to(request: pytest.FixtureRequest, http_to: HttpTo) -> To:
    return lambda api: http_to(api.base_url) if request.param == "http" else InProcessTransport()
