"""The sessions of a process with MCP servers: they are kept between the calls of one owner, and bounded in number.

Nothing here needs the SDK, so that the service can end its sessions without importing it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar
from weakref import WeakValueDictionary

from storage.per_loop import PerLoop
from tools.base import ToolError
from tools.mcp_client.servers import McpServer

MAX_SESSIONS: Final = 64
"""Open sessions of a process. Beyond that, the one that was unused for the longest time ends."""


class Closable(Protocol):
    """A session. One that `is_spent` is used for no further call."""

    server: McpServer
    max_calls: int
    is_spent: bool

    @property
    def has_ended(self) -> bool:
        """True if no call can be made any more."""
        ...

    async def open(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """End the session."""
        ...


S = TypeVar("S", bound=Closable)


class Kept:
    """A session of one owner, and the timer that ends it. A call that is about to begin holds a place."""

    def __init__(self, session: Closable, owner: str) -> None:
        self.session = session
        self.owner = owner
        self.places = 1
        self.timer: asyncio.TimerHandle | None = None

    def serves(self, server: McpServer, owner: str) -> bool:
        """Return whether a call of the owner can be made on the session."""
        session = self.session
        is_theirs = self.owner == owner and session.server == server
        return is_theirs and not (session.is_spent or session.has_ended) and self.places < session.max_calls


class Sessions:
    """The open sessions of an event loop, those that were used last at the end."""

    def __init__(self) -> None:
        self._kept: list[Kept] = []
        # A lock lives as long as a call holds it or waits for it.
        self._opening: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._ends: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def session(self, server: McpServer, owner: str, make: Callable[[McpServer], S]) -> AsyncIterator[S]:
        """Yield a session of the owner for one call: a kept one, or a new one.

        Raises `ToolError` if there are too many sessions, and the errors of `open`.
        """
        kept = await self._take(server, owner, make)
        session: S = kept.session  # type: ignore[assignment]  # sessions of a server are all made by one function
        try:
            yield session
        finally:
            kept.places -= 1
            if session.is_spent or session.has_ended:
                self._forget(kept)
            if kept.places == 0:
                self._rest(kept)

    async def close(self) -> None:
        """End all sessions."""
        for kept in tuple(self._kept):
            self._end(kept)
        if self._ends:
            await asyncio.wait(tuple(self._ends))

    async def _take(self, server: McpServer, owner: str, make: Callable[[McpServer], S]) -> Kept:
        # One at a time, so that calls that come together share the session of a program.
        lock = self._opening.setdefault((server.name, owner), asyncio.Lock())
        async with lock:
            found = next((kept for kept in reversed(self._kept) if kept.serves(server, owner)), None)
            if found is None:
                if len(self._kept) >= MAX_SESSIONS:
                    unused = next((kept for kept in self._kept if kept.places == 0), None)
                    if unused is None:
                        what = f"{MAX_SESSIONS} sessions with MCP servers are in use. Try again later."
                        raise ToolError(what, code="failed")
                    self._end(unused)
                found = Kept(make(server), owner)
                # Before it is open, so that it counts.
                self._kept.append(found)
                try:
                    await found.session.open()
                except BaseException:
                    self._forget(found)
                    raise
                return found
            self._kept.remove(found)
            self._kept.append(found)
            found.places += 1
            if found.timer is not None:
                found.timer.cancel()
            return found

    def _forget(self, kept: Kept) -> None:
        """Use a session for no further call."""
        if kept in self._kept:
            self._kept.remove(kept)

    def _rest(self, kept: Kept) -> None:
        """End an unused session that is forgotten; keep another for its time."""
        if kept not in self._kept:
            self._end(kept)
            return
        loop = asyncio.get_running_loop()
        kept.timer = loop.call_later(kept.session.server.idle_seconds, self._end, kept)

    def _end(self, kept: Kept) -> None:
        self._forget(kept)
        if kept.timer is not None:
            kept.timer.cancel()
        task = asyncio.get_running_loop().create_task(kept.session.close())
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)


_sessions = PerLoop(Sessions)


def sessions() -> Sessions:
    """Return the sessions of the running event loop."""
    return _sessions.current()


async def close() -> None:
    """End all sessions of the running event loop."""
    if (known := _sessions.known()) is not None:
        await known.close()
