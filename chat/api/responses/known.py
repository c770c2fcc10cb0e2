"""The responses of stored runs, by their ids."""

import re
import time
from collections.abc import AsyncIterator
from typing import Final, Self
from uuid import UUID

import msgspec

from access.caller import Caller
from chat import service_registry
from chat.api.projections.waiting import waits_for
from chat.api.responses.requests import fields_of
from chat.history import queries
from chat.history.rebuilt_log import rebuilt
from chat.models import Run
from chat.starting.request import RunRequest, request_of
from chat.wire.responses import RESPONSE_ID, ResponseStream
from storage.reader import read
from web.errors import ApiError

ID: Final = re.compile(RESPONSE_ID + r"([0-9a-f]{32})(?:_([1-9][0-9]{0,3}))?")


MAX_PARTS: Final = 10_000
"""More parts than the limits of a run allow."""


class KnownResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response: the part of a stored run. `request` is that of the run."""

    run: Run
    part: int
    request: RunRequest

    @classmethod
    async def find(cls, response_id: str, caller: Caller) -> Self:
        """Return the caller's response with this id. Raise `ApiError` (404)."""
        match = ID.fullmatch(response_id)
        if match is None or not service_registry.current().stored:
            raise missing()
        run = await read(queries.stored_run, UUID(match[1]), caller.owner)
        if run is None:
            raise missing()
        known = cls(run=run, part=int(match[2] or 0), request=request_of(run, caller))
        if not known.request.echo.get("store", True):
            raise missing()
        return known

    def stream(self, after: int = -1) -> ResponseStream:
        """Return the projection of the run onto this response, without the events up to number `after`."""
        run, request = self.run, self.request
        ended = run.ended
        return ResponseStream(
            run.id,
            fields_of(request, run.id, run.session_id),
            lambda: int(ended.timestamp() if ended else time.time()),
            part=self.part,
            after=after,
            structured=request.output_schema is not None,
        )

    async def read(self) -> ResponseStream:
        """Return the projection of the stored frames of the run. Raise `ApiError` (404) if the part has not begun."""
        stream = self.stream()
        async for frames in self._frames():
            stream.feed(frames)
            if stream.ended:
                return stream
        if stream.passed < self.part:
            raise missing()
        if await waits_for(self.run.id, stream.questions):
            stream.paused()
        return stream

    async def newest_part(self) -> int:
        """Return the number of the run's newest part."""
        stream = msgspec.structs.replace(self, part=MAX_PARTS).stream()
        async for frames in self._frames():
            stream.feed(frames)
        return stream.passed

    async def _frames(self) -> AsyncIterator[bytes]:
        log = await read(queries.log, self.run.id, self.request.owner)
        if log is not None and log.ended and log.last == 0:
            # The frames were deleted after their time.
            yield await read(rebuilt, self.run.id, self.request.owner)
            return
        cursor = 0
        while rows := await read(queries.frames_after, self.run.id, cursor):
            cursor = rows[-1][1]
            for _, _, frames in rows:
                yield frames


def missing() -> ApiError:
    """Return the error for a response that does not exist for the caller."""
    return ApiError(404, "not_found", "There is no such response, or it was not stored.")
