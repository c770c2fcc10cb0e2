"""The time at which a run without subscribers is abandoned."""

import asyncio
from math import inf

import pytest

from chat.runs.live import subscribers as audiences
from chat.runs.live.subscribers import Subscribers
from storage.writer import StorageUnavailable

GRACE = 0.05


class Elsewhere:
    """Subscribers in other processes, with a reply that the test holds back."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def followed(self) -> bool:
        self.asked.set()
        await self.open.wait()
        if not self.answers:
            raise StorageUnavailable("locked")
        return self.answers.pop(0)


class Run:
    """A run that records whether and when it was abandoned."""

    def __init__(self) -> None:
        self.given_up = asyncio.Event()
        self.at = 0.0

    def give_up(self) -> None:
        self.given_up.set()
        self.at = asyncio.get_running_loop().time()


def audience_of(run: Run, elsewhere: Elsewhere, grace: float = GRACE) -> Subscribers:
    return Subscribers(grace, give_up=run.give_up, followed_elsewhere=elsewhere.followed)


async def test_run_without_subscribers_is_abandoned_after_the_grace_period() -> None:
    run = Run()
    audience = audience_of(run, Elsewhere(False))
    audience.joined()
    left = asyncio.get_running_loop().time()
    audience.left()
    await asyncio.wait_for(run.given_up.wait(), 10)
    assert run.at - left >= GRACE


async def test_subscriber_that_joins_during_the_remote_check_starts_a_new_grace_period() -> None:
    run, elsewhere = Run(), Elsewhere(False, False)
    elsewhere.open.clear()
    audience = audience_of(run, elsewhere)
    audience.joined()
    audience.left()
    await asyncio.wait_for(elsewhere.asked.wait(), 10)
    audience.joined()
    left = asyncio.get_running_loop().time()
    audience.left()
    elsewhere.open.set()
    await asyncio.wait_for(run.given_up.wait(), 10)
    assert run.at - left >= GRACE


async def test_run_with_remote_subscribers_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiences, "MIN_CHECK_SECONDS", 0.0)
    run, elsewhere = Run(), Elsewhere(True, True, False)
    audience = audience_of(run, elsewhere)
    audience.joined()
    audience.left()
    await asyncio.wait_for(run.given_up.wait(), 10)
    assert elsewhere.answers == []


async def test_unavailable_database_does_not_keep_an_unfollowed_run_alive() -> None:
    run = Run()
    audience = audience_of(run, Elsewhere())
    audience.joined()
    audience.left()
    await asyncio.wait_for(run.given_up.wait(), 10)


async def test_ended_run_is_not_abandoned() -> None:
    run, elsewhere = Run(), Elsewhere(False)
    elsewhere.open.clear()
    audience = audience_of(run, elsewhere)
    audience.joined()
    audience.left()
    await asyncio.wait_for(elsewhere.asked.wait(), 10)
    audience.close()
    elsewhere.open.set()
    audience.joined()
    audience.left()
    await asyncio.sleep(2 * GRACE)
    assert not run.given_up.is_set()


async def test_endless_grace_period_keeps_a_run_without_subscribers() -> None:
    run, elsewhere = Run(), Elsewhere(False)
    audience = audience_of(run, elsewhere, inf)
    audience.joined()
    audience.left()
    await asyncio.sleep(GRACE)
    assert not elsewhere.asked.is_set()
