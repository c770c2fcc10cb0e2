import asyncio

import pytest

from chat.runs.log.subscription import Stored, Subscription


class Elsewhere:
    """A run of another process, whose stored frames the test can hold back."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answered = asyncio.Event()
        self.waited_for: list[asyncio.Future[None]] = []

    def living(self) -> None:
        return None

    async def stored(self, cursor: int) -> Stored:
        self.asked.set()
        await self.answered.wait()
        return Stored(cursor, b"")

    def changed(self, cursor: int) -> "asyncio.Future[None]":
        self.waited_for.append(asyncio.get_running_loop().create_future())
        return self.waited_for[-1]


@pytest.mark.parametrize("answered", [False, True], ids=["while it is looked for", "while it is waited for"])
async def test_cancelled_subscriber_leaves_no_pending_wait(answered: bool) -> None:
    source = Elsewhere()
    if answered:
        source.answered.set()
    follower = Subscription(source, 0, heartbeat=60, patience=60)
    reading = asyncio.ensure_future(anext(follower))
    await source.asked.wait()
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    follower.close()
    assert [future.done() for future in source.waited_for] == [True]
