"""Clients that hold a stream each, and leave at the same time."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Final, cast

from benchmarks.harness.load import MAX_SECONDS, StreamBroken, Target
from benchmarks.harness.script import Script

LOOK_SECONDS: Final = 0.05


class Guest(asyncio.Protocol):
    """One client: it asks for a stream, and keeps what arrives."""

    _transport: asyncio.Transport
    left: float | None = None
    """When it closed its connection, by `time.monotonic()`."""

    def __init__(self, target: Target, script: Script) -> None:
        self.script = script
        self._target = target
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._target.request(self.script.directive))

    def data_received(self, data: bytes) -> None:
        self._received += data

    @property
    def is_served(self) -> bool:
        """Return whether its first token has arrived."""
        return self.script.nonce.encode() in self._received

    def leave(self) -> None:
        if self.left is None:
            self.left = time.monotonic()
            # Not `close`, which would first send the buffered bytes.
            self._transport.abort()

    def check(self) -> None:
        """Raise `StreamBroken` unless what arrived is the beginning of the requested stream."""
        text = json.loads(b'"' + b"".join(self._target.dialect.tokens(bytes(self._received))) + b'"')
        if self._transport.is_closing() or not text or not self.script.text.startswith(text):
            raise StreamBroken(f"an open stream broke off, or holds others' tokens: {self._received[:500]!r}")


class Crowd:
    """Guests with open streams."""

    def __init__(self, guests: list[Guest]) -> None:
        self._guests = guests

    def leave(self) -> Mapping[str, float]:
        """Return when each guest left, by its stream's nonce. Raise `StreamBroken` if a stream was broken before."""
        # All are checked before the first one leaves, so that the departures are as close together as possible.
        for guest in self._guests:
            guest.check()
        for guest in self._guests:
            guest.leave()
        return {guest.script.nonce: guest.left for guest in self._guests if guest.left is not None}


@contextlib.asynccontextmanager
async def gathered(target: Target, count: int, *, rate: float, spread: float) -> AsyncIterator[Crowd]:
    """Yield guests who arrived one after the other over `spread` seconds. Raise `TimeoutError`."""
    guests: list[Guest] = []
    try:
        async with asyncio.timeout(MAX_SECONDS):
            for _ in range(count):
                # The script lasts longer than the crowd may, so no stream ends before its guest leaves.
                script = Script(tokens=int(rate * MAX_SECONDS), rate=rate, nonce=uuid.uuid4().hex)
                arrival = partial(Guest, target, script)
                _, guest = await asyncio.get_running_loop().create_connection(arrival, "127.0.0.1", target.port)
                guests.append(guest)
                await asyncio.sleep(spread / count)
            while not all(guest.is_served for guest in guests):
                await asyncio.sleep(LOOK_SECONDS)
        yield Crowd(guests)
    finally:
        for guest in guests:
            guest.leave()
