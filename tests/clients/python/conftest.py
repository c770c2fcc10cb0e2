"""Both clients of `clients/python` behind one interface, so that each test is of both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import pytest
from orchestrator_client import AsyncClient, Client, Event, Reconnecting
from orchestrator_client.core.events import Event as AnyEvent

SECONDS: Final = 60
"""Seconds after which a client hangs, on a busy machine too."""


class Driven:
    """A client whose methods are all awaited. Streams are lists."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self._client = client
        self.seen: list[Any] = []
        """The items of the newest stream, also if it ended with an error."""

    async def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call a method, and return its value, or the list of what it yields."""
        async with asyncio.timeout(SECONDS):
            if isinstance(self._client, Client):
                # The service runs in the loop of the test, so a sync client needs a thread.
                return await asyncio.to_thread(self._whole, name, *arguments, **options)
            value = getattr(self._client, name)(*arguments, **options)
            if not hasattr(value, "__aiter__"):
                return await value
            self.seen = []
            async for item in value:
                self.seen.append(item)
            return self.seen

    def _whole(self, name: str, *arguments: Any, **options: Any) -> Any:
        value = getattr(self._client, name)(*arguments, **options)
        if not isinstance(value, Iterator):
            return value
        self.seen = []
        for item in value:
            self.seen.append(item)
        return self.seen

    async def events(self, name: str, *arguments: Any, **options: Any) -> list[Event]:
        """Return the events of a stream, without the new attempts."""
        items = await self.call(name, *arguments, **options)
        return [item for item in items if not isinstance(item, Reconnecting)]

    async def close(self) -> None:
        closed = self._client.close()
        if closed is not None:
            await closed


ClientTo = Callable[..., Driven]


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
async def client_to(request: pytest.FixtureRequest) -> AsyncIterator[ClientTo]:
    """Return a function that makes a client of a URL, and close the clients with the test."""
    made: list[Driven] = []

    def make(url: str, **options: Any) -> Driven:
        made.append(Driven(request.param(url, **{"first_wait": 0.001, **options})))
        return made[-1]

    yield make
    for client in made:
        await client.close()


def text_of(events: list[AnyEvent]) -> str:
    """Return the answer in a list of events."""
    return "".join(getattr(event, "token", "") for event in events)
