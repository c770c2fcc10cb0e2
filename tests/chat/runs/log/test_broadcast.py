import asyncio

import pytest

from chat.engine.events import Token
from chat.runs.log import broadcast as feeds
from chat.runs.log.broadcast import Broadcast
from chat.runs.log.subscription import Stored, Subscription
from chat.wire import sse


def frame(number: int) -> bytes:
    return sse.frame(number, Token(token=f"t{number}"))


def filled(*counts: int) -> Broadcast:
    """Return a feed whose appends had the given numbers of frames."""
    feed = Broadcast()
    for count in counts:
        feed.publish(count, b"".join(frame(feed.last + 1 + index) for index in range(count)))
    return feed


class Here:
    """A run that lives in this process and is not stored."""

    def __init__(self, feed: Broadcast) -> None:
        self.broadcast = feed
        self.followers = 0

    def living(self) -> "Here":
        return self

    def joined(self) -> None:
        self.followers += 1

    def left(self) -> None:
        self.followers -= 1

    async def stored(self, cursor: int) -> Stored:
        return Stored(cursor, b"", over=True)

    def changed(self, cursor: int) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()


def follow(feed: Broadcast, cursor: int = 0, *, heartbeat: float = 60) -> Subscription:
    return Subscription(Here(feed), cursor, heartbeat=heartbeat, patience=60)


@pytest.mark.parametrize("cursor", range(11))
async def test_subscriber_receives_every_frame_after_its_cursor_once(cursor: int) -> None:
    feed = filled(1, 3, 2, 4)
    feed.close()
    got = b"".join([part async for part in follow(feed, cursor)])
    assert got == b"".join(map(frame, range(cursor + 1, 11)))


async def test_pending_frames_are_sent_in_one_write() -> None:
    follower = follow(filled(1, 1, 1))
    assert await anext(follower) == b"".join(map(frame, (1, 2, 3)))
    follower.close()


async def test_long_backlog_is_sent_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MAX_AT_ONCE", 100)
    feed = filled(*[1] * 50)
    feed.close()
    parts = [part async for part in follow(feed)]
    assert max(map(len, parts)) < 200
    assert b"".join(parts) == b"".join(map(frame, range(1, 51)))


async def test_subscribers_that_join_at_any_frame_lose_and_duplicate_nothing() -> None:
    feed = Broadcast()

    async def collect(cursor: int) -> bytes:
        return b"".join([part async for part in follow(feed, cursor)])

    followers = []
    for number in range(1, 30):
        followers.append((number - 1, asyncio.create_task(collect(number - 1))))
        if number % 3:
            await asyncio.sleep(0)
        feed.publish(1, frame(number))
    feed.close()
    for cursor, follower in followers:
        assert await follower == b"".join(map(frame, range(cursor + 1, 30)))


async def test_silent_feed_sends_pings_and_continues() -> None:
    feed = filled(1)
    follower = follow(feed, 1, heartbeat=0.01)
    assert await anext(follower) == sse.PING
    assert await anext(follower) == sse.PING
    feed.publish(1, frame(2))
    assert await anext(follower) == frame(2)
    follower.close()


async def test_run_counts_its_subscribers() -> None:
    run = Here(filled(1))
    followers = [Subscription(run, 0, heartbeat=60, patience=60) for _ in range(2)]
    assert run.followers == 2
    followers[0].close()
    followers[0].close()
    assert run.followers == 1
    followers[1].close()


async def test_stalled_reader_is_dropped() -> None:
    feed = filled(1)
    follower = Subscription(Here(feed), 0, heartbeat=0.01, patience=0.02)

    async def stall() -> None:
        async for _ in follower:
            await asyncio.Event().wait()

    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(stall())
    follower.close()
