"""A run in the form of another protocol: its frames pass a projection of `chat.wire`."""

from collections.abc import AsyncIterator
from contextlib import closing
from typing import Protocol
from uuid import UUID

from access.caller import Caller
from chat import service_registry
from chat.api.projections.waiting import waits_for
from chat.api.run_responses import EventStream
from chat.runs.log.subscription import Subscription
from chat.runs.start.idempotency import AlreadyBegun
from chat.starting.request import RunRequest
from chat.wire.questions import Questions


class Projection(Protocol):
    """Turns the frames of a run into those of another protocol.

    The answer is over when `ended` is true, or when the run waits for one of the `questions`.
    """

    questions: Questions
    ended: bool

    def feed(self, frames: bytes) -> bytes:
        """Return the frames for complete frames of the run. Pings stay comments."""
        ...

    def paused(self) -> bytes:
        """Return the last frames of an answer whose run waits for the client."""
        ...


async def projected(run_id: UUID, subscription: Subscription, projection: Projection) -> AsyncIterator[bytes]:
    """Yield a run in the form of a projection, until it ends or waits for the client."""
    with closing(subscription):
        async for frames in subscription:
            if projected_frames := projection.feed(frames):
                yield projected_frames
            if projection.ended:
                return
            if await waits_for(run_id, projection.questions):
                yield projection.paused()
                return


async def start_once(request: RunRequest) -> UUID:
    """Start a run, or return the one that the same request began before. Raise the errors of `Service.start`."""
    try:
        return (await service_registry.current().start(request)).spec.run_id
    except AlreadyBegun as begun:
        return begun.run_id


def stream_of(run_id: UUID, caller: Caller, projection: Projection, cursor: int = 0) -> EventStream:
    """Return the response that streams a run of the caller behind event number `cursor`."""
    hides = not caller.scopes.may("reasoning")
    subscription = service_registry.current().follow(run_id, caller.owner, cursor, hides_reasoning=hides)
    return EventStream(projected(run_id, subscription, projection), run_id)
