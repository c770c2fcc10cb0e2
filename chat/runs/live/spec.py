"""What starts a run, or lets one go on, as a value."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import msgspec

from chat.engine.events import Start
from chat.engine.loop import Turn
from chat.runs.live.budget import RunBudget

Hold = Callable[[Callable[[object], None]], Callable[[], None]]
"""Has a function called when whoever began the run may not go on; returns what lets go of that."""


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What starts a run, or lets one go on; `turn` is awaited in the run's own task.

    One that goes on has `last` events and the answer's `text` already, and was `created` before.
    """

    run_id: UUID
    session_id: UUID
    owner: str
    purse: RunBudget
    hold: Hold
    start: Start
    turn: Callable[[], Awaitable[Turn]]
    max_seconds: float
    cancel_unfollowed: bool
    followed_elsewhere: Callable[[], Awaitable[bool]]
    last: int = 0
    text: str = ""
    created: datetime | None = None
