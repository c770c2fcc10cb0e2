"""The source of a run's frames: this process, or the database."""

import asyncio
from collections.abc import Callable
from uuid import UUID

from chat.history import queries
from chat.runs.cluster.remote_watch import RemoteWatch
from chat.runs.log.subscription import Living, Stored
from chat.wire import sse
from storage.reader import read


class RunSource:
    """One run of one owner. `find` returns it if it is in this process."""

    def __init__(
        self,
        run_id: UUID,
        owner: str,
        find: Callable[[UUID, str], Living | None],
        watch: RemoteWatch,
        *,
        is_stored: bool,
    ) -> None:
        self._run_id = run_id
        self._owner = owner
        self._find = find
        self._watch = watch
        self._is_stored = is_stored
        self._was_open = False

    def living(self) -> Living | None:
        run = self._find(self._run_id, self._owner)
        self._was_open = self._was_open or run is not None
        return run

    async def stored(self, cursor: int) -> Stored:
        """Return a bounded number of rows after `cursor`. A run that does not exist (any more) is over."""
        if not self._is_stored:
            return Stored(cursor, b"", over=True)
        rows = await read(queries.frames_after, self._run_id, cursor)
        if rows:
            first, _, frames = rows[0]
            parts = [sse.skip(frames, max(0, cursor + 1 - first)), *(frames for _, _, frames in rows[1:])]
            return Stored(rows[-1][1], b"".join(parts))
        log = await read(queries.log, self._run_id, self._owner)
        if log is not None and not (log.ended and log.last <= cursor):
            self._was_open = self._was_open or not log.ended
            return Stored(cursor, b"", over=False)
        if log is None or not (log.interrupted and self._was_open):
            return Stored(cursor, b"", over=True)
        # The owner may have died after it sent frames and before it stored them. The last event then has a number that
        # the reader has received already, and is sent nevertheless.
        self._was_open = False
        rows = await read(queries.frames_after, self._run_id, log.last - 1)
        return Stored(max(cursor, log.last), b"".join(sse.skip(frames, last - first) for first, last, frames in rows))

    def changed(self, cursor: int) -> "asyncio.Future[None]":
        return self._watch.changed(self._run_id, cursor)
