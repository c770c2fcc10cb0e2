"""Revocation and expiry of keys that hold streams and sockets open, polled from the database every second.

Requests with a key do not depend on this: each one looks its key up.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
from django.utils import timezone

from access.caller import unauthorized
from access.keys import lookup
from access.models import ApiKey
from storage.reader import read
from storage.writer import StorageUnavailable, writer
from web.errors import ApiError

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
NOTE_SECONDS: Final = 5.0
"""Seconds between writes of `last_used`."""

End = Callable[[ApiError], None]
"""Closes something that a key holds open, given the reason. Called on the event loop, at most once."""


class _News(msgspec.Struct, frozen=True):
    keyed: bool
    shut: dict[UUID, ApiError]


class RevocationWatcher:
    """Polls the database from `open`, or the first `on_revoked`, until `close`."""

    def __init__(self) -> None:
        self.keyed: bool | None = None
        """True if a key exists or existed; None while that is unknown."""

        self._held: defaultdict[UUID, list[End]] = defaultdict(list)
        self._used: dict[UUID, datetime] = {}
        self._noted = 0.0
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Find out whether keys exist. Later calls cost nothing. Raises `StorageUnavailable`."""
        if self.keyed is None:
            self.keyed = await read(ApiKey.objects.any)
        self._begin()

    def on_revoked(self, key: UUID | None, end: End) -> Callable[[], None]:
        """Have `end` called when the key is revoked or expires, or its user is deactivated.

        Returns a function that unregisters `end`; calling it again is safe. Without a key there is nothing to watch.
        """
        if key is None:
            return lambda: None
        self._held[key].append(end)
        self._begin()
        return partial(self._release, key, end)

    def use(self, key: UUID | None) -> None:
        """Note that the key was used just now."""
        if key is not None:
            self._used[key] = timezone.now()

    async def close(self) -> None:
        """Store when keys were last used, and stop polling."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        with contextlib.suppress(StorageUnavailable):
            await self._note()

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._go())

    async def _go(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except StorageUnavailable as error:
                logger.warning("keys.unwatched", extra={"error": str(error)})
            except Exception:
                logger.exception("keys.broken")

    async def _look(self) -> None:
        # Keys are revoked and never deleted, so `keyed` stays true once it is.
        if self._held or not self.keyed:
            news = await read(_news, list(self._held))
            self.keyed = news.keyed
            for key, refusal in news.shut.items():
                for end in self._held.pop(key, ()):
                    end(refusal)
        if self._used and asyncio.get_running_loop().time() - self._noted >= NOTE_SECONDS:
            await self._note()

    async def _note(self) -> None:
        used, self._used = self._used, {}
        self._noted = asyncio.get_running_loop().time()
        try:
            if used:
                await writer.write(partial(_note, sorted(used.items())))
        except (StorageUnavailable, asyncio.CancelledError):
            # A key may have been used again during the write: the newer moment counts.
            self._used = used | self._used
            raise

    def _release(self, key: UUID, end: End) -> None:
        ends = self._held.get(key)
        if ends is not None and end in ends:
            ends.remove(end)
            if not ends:
                del self._held[key]


def _news(held: Collection[UUID]) -> _News:
    known = lookup.by_ids(held) if held else {}
    now = timezone.now()
    gone = unauthorized("Unknown API key.")
    shut = {key: known[key].refusal(now) if key in known else gone for key in held}
    keyed = bool(known) or ApiKey.objects.any()
    return _News(keyed, {key: refusal for key, refusal in shut.items() if refusal is not None})


def _note(used: Iterable[tuple[UUID, datetime]]) -> None:
    """Store when keys were last used."""
    # `used` is sorted: two processes that update the same rows in different orders would deadlock.
    for key, moment in used:
        ApiKey.objects.filter(id=key).update(last_used=moment)
