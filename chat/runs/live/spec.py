"""The specification of a run: everything needed to start it, or to resume it, as a value."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import msgspec

from chat.engine.events import Start
from chat.engine.loop import Turn
from chat.runs.live.budget import RunBudget
from tools.execution.taint import Taint

OnRevoked = Callable[[Callable[[object], None]], Callable[[], None]]
"""Registers a callback for the revocation of the run's key; returns a function that unregisters it."""


async def never_followed() -> bool:
    """Return False: without a database no other process can follow a run."""
    return False


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to start or resume a run. `turn` is awaited in the run's own task.

    A resumed run already has `last` events and the answer's `text`, and keeps its time of creation.
    """

    run_id: UUID
    session_id: UUID
    owner: str
    budget: RunBudget
    on_revoked: OnRevoked
    start: Start
    turn: Callable[[], Awaitable[Turn]]
    taint: Taint
    max_seconds: float
    cancel_unfollowed: bool
    followed_elsewhere: Callable[[], Awaitable[bool]] = never_followed
    last: int = 0
    text: str = ""
    created: datetime | None = None
