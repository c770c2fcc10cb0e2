"""A run in the form of another protocol: its frames pass a projection of `chat.wire`."""

from collections.abc import AsyncIterator
from contextlib import closing
from typing import Protocol
from uuid import UUID

from chat.engine.events import ApprovalRequired, ClientToolCall
from chat.runs.log.subscription import Subscription
from chat.wire.questions import Questions
from storage.reader import read
from tools.approvals import decisions
from tools.client_tools import results


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


async def waits_for(run_id: UUID, questions: Questions) -> ApprovalRequired | list[ClientToolCall] | None:
    """Return the question that a run waits for: an approval, or all calls of client tools. None if there is none."""
    # In a log that is read again, the answer may be part of the next frames.
    if (approval := questions.approval) is not None:
        return approval if await read(decisions.is_waiting, UUID(approval.execution_id)) else None
    waiting = await read(results.waiting_of, run_id) if questions.calls else frozenset()
    # All calls are recorded before the first is shown, so a missing event is still to come.
    if not waiting or not waiting <= questions.calls.keys():
        return None
    return [call for execution_id, call in questions.calls.items() if execution_id in waiting]
