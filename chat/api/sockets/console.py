"""`/admin/live`: a WebSocket (RFC 6455) that reports changes to the console's pages. Only for staff.

The page sends `{"type": "watch", "cursor": "..."}` with the state that it shows. It gets `{"type": "changed", "cursor":
"..."}` after each change, and at once if it missed one. After `{"type": "follow", "run": "...", "after": 7}` it gets
the events of a run, in the form of `/ws/chat`.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped]  # it ships no types

from access.users import staff_session
from chat import conf
from chat.api.sockets.runs import FollowedRuns
from chat.history import changes, queries
from chat.runs.cluster.ticker import PeriodicTask
from storage.per_loop import PerLoop
from storage.reader import read
from storage.writer import StorageUnavailable
from web.errors import ApiError

FOLLOW: Final = ("chat.view_run", "chat.view_message")
"""The permissions that the events of a run need: they have the texts of its messages."""

UNAUTHORIZED: Final = 4401
INVALID: Final = 4400
DROPPED: Final = 4408


class Watch(msgspec.Struct, frozen=True, tag_field="type", tag="watch"):
    """A page that shows the state `cursor`."""

    cursor: str


class Follow(msgspec.Struct, frozen=True, tag_field="type", tag="follow"):
    """A page that shows a run's events up to number `after`."""

    run: UUID
    after: int = 0


_parse = msgspec.json.Decoder(Watch | Follow).decode


class ChangeWatch:
    """Looks for changes, for all sockets of this process together, while there are any."""

    def __init__(self) -> None:
        self.cursor = ""
        self._sockets: set[Callable[[], None]] = set()
        self._task: PeriodicTask | None = None

    def add(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change from now on."""
        self._sockets.add(changed)
        if self._task is None:
            self._task = PeriodicTask(self._look)
            self._task.start()

    def remove(self, changed: Callable[[], None]) -> None:
        self._sockets.discard(changed)
        if not self._sockets and self._task is not None:
            self._task.close()
            self._task = None

    async def _look(self) -> None:
        found = await read(changes.cursor)
        if found != self.cursor:
            self.cursor = found
            for changed in tuple(self._sockets):
                changed()


_watches = PerLoop(ChangeWatch)


class ConsoleConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # it ships no types
    """One page of the console."""

    channel_layer_alias = None

    async def connect(self) -> None:
        self._shown: str | None = None
        self._has_followed = False
        self._work = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._runs = FollowedRuns(self._send, partial(self.close, DROPPED))
        self._session_key = staff_session.session_key(self.scope["headers"])
        if not conf.is_stored() or not await self._may():
            # Before the socket is accepted, this is the status 403.
            await self.close(UNAUTHORIZED)
            return
        await self.accept()
        # One look for all sockets of the process: each would otherwise ask the database by itself.
        self._watch = _watches.current()
        self._watch.add(self._work.set)
        self._sender = asyncio.get_running_loop().create_task(self._report())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = _parse(text_data or "")
        except (msgspec.DecodeError, UnicodeError):
            await self._refuse(INVALID)
            return
        if not await self._may():
            await self._refuse(UNAUTHORIZED)
        elif isinstance(message, Watch):
            self._shown = message.cursor
            self._work.set()
        elif await self._may(*FOLLOW):
            owner = await read(queries.owner_of, message.run)
            # A run that was deleted has no events, and a socket that follows too many gets no more.
            with suppress(ApiError):
                if owner is not None:
                    self._has_followed = True
                    self._runs.follow(message.run, owner, message.after, hides_reasoning=False)

    async def disconnect(self, code: int) -> None:
        if self._sender is not None:
            self._sender.cancel()
            self._watch.remove(self._work.set)
        self._runs.stop()

    async def _report(self) -> None:
        """Send each new state that the page does not show yet. Of several in a row, only the last is sent."""
        while True:
            await self._work.wait()
            self._work.clear()
            # The user may have logged out, or may have lost their role or a permission. A client that only follows runs
            # has no state to compare, and would otherwise read them for as long as it stays connected.
            if not await self._may():
                await self._refuse(UNAUTHORIZED)
                return
            if self._has_followed and not await self._may(*FOLLOW):
                self._runs.stop()
            if self._shown is None or self._watch.cursor in {"", self._shown}:
                continue
            self._shown = self._watch.cursor
            await self._send(json.dumps({"type": "changed", "cursor": self._shown}).encode())

    async def _refuse(self, code: int) -> None:
        """Close the socket, and send nothing after that, which a server answers with an error."""
        self._runs.stop()
        await self.close(code)

    async def _may(self, *permissions: str) -> bool:
        """Return whether the user of the page's session is staff with these permissions."""
        try:
            return await read(staff_session.is_staff, self._session_key, permissions)
        except StorageUnavailable:
            return False

    async def _send(self, message: bytes) -> None:
        # A server raises OSError after the client has left (ASGI, "WebSocket: Send").
        with suppress(OSError):
            await self.send(text_data=message.decode())
