"""The calls under way that a client can cancel by the number of its request, in any process."""

import asyncio
import hashlib
from functools import partial
from typing import Final

import msgspec
from django.utils import timezone

from access.caller import Caller
from storage.per_loop import PerLoop
from storage.reader import read
from storage.writer import StorageUnavailable, writer
from tools.mcp_server import offered
from tools.mcp_server.calls import waiting
from tools.mcp_server.calls.exchange import Exchange
from tools.mcp_server.messages.protocol import Id
from tools.mcp_server.seals import holder_of

WATCH_SECONDS: Final = 1.0
"""The interval at which a process looks for calls whose cancel another process received."""


def reference_of(number: Id, caller: Caller, link: str) -> str:
    """Return the reference of a request: the same for all processes, and unlike that of other clients."""
    # `1` and `"1"` are two ids.
    named = msgspec.json.encode([holder_of(caller), link, number])
    return f"mcp:{hashlib.sha256(named).hexdigest()[:40]}"


class OpenCalls:
    """The calls of one event loop, by their references."""

    def __init__(self) -> None:
        self._calls: dict[str, list[Exchange]] = {}
        self._watching: asyncio.Task[None] | None = None

    def add(self, reference: str, exchange: Exchange) -> None:
        """Remember a call until it has ended."""
        self._calls.setdefault(reference, []).append(exchange)
        exchange.on_end(partial(self._remove, reference, exchange))
        if offered.is_stored() and (self._watching is None or self._watching.done()):
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def cancel(self, reference: str, caller: Caller) -> None:
        """Cancel the call with this reference, here or in another process. An unknown one changes nothing."""
        found = self._calls.get(reference, [])
        # Two clients without a session can number their requests alike.
        if len(found) == 1:
            found[0].close()
        elif not found and offered.is_stored():
            await writer.write(partial(waiting.cancel_call, reference, caller.owner, timezone.now()))
            if (agent := offered.agent_of(caller)) is not None:
                await agent.cancel_call(reference, caller)

    def _remove(self, reference: str, exchange: Exchange) -> None:
        self._calls[reference].remove(exchange)
        if not self._calls[reference]:
            del self._calls[reference]

    async def _watch(self) -> None:
        while self._calls:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                cancelled = await read(waiting.cancelled, list(self._calls))
            except StorageUnavailable:
                continue
            for reference in cancelled:
                for exchange in self._calls.get(reference, []):
                    exchange.close()


_open_calls = PerLoop(OpenCalls)
current = _open_calls.current
"""Return the calls of the running event loop."""
