"""When a run is given up that nobody follows."""

import asyncio
from math import inf

import pytest

from chat.runs.live import subscribers as audiences
from chat.runs.live.subscribers import Subscribers
from storage.writer import StorageUnavailable

GRACE = 0.05


class Elsewhere:
    """Followers in other processes, of whom an answer is waited for."""

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
    """Whether it was given up, and when."""

    def __init__(self) -> None:
        self.given_up = asyncio.Event()
        self.at = 0.0

    def give_up(self) -> None:
        self.given_up.set()
        self.at = asyncio.get_running_loop().time()


def audience_of(run: Run, elsewhere: Elsewhere, grace: float = GRACE) -> Subscribers:
    return Subscribers(grace, give_up=run.give_up, followed_elsewhere=elsewhere.followed)


async def test_a_run_that_nobody_follows_is_given_up_after_the_grace() -> None:
    run = Run()
    audience = audience_of(run, Elsewhere(False))
    audience.joined()
    left = asyncio.get_running_loop().time()
    audience.left()
    await asyncio.wait_for(run.given_up.wait(), 10)
    assert run.at - left >= GRACE


async def test_who_comes_while_others_are_asked_about_begins_a_new_grace() -> None:
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


async def test_a_run_that_is_followed_elsewhere_is_asked_about_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiences, "ASK_SECONDS", 0.0)
    run, elsewhere = Run(), Elsewhere(True, True, False)
    audience = audience_of(run, elsewhere)
    audience.joined()
    audience.left()
    await asyncio.wait_for(run.given_up.wait(), 10)
    assert elsewhere.answers == []


async def test_a_database_that_is_away_keeps_nobody_waiting_for_ever() -> None:
    run = Run()
    audience = audience_of(run, Elsewhere())
    audience.joined()
    audience.left()
    await asyncio.wait_for(run.given_up.wait(), 10)


async def test_a_run_that_has_ended_is_not_given_up() -> None:
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


async def test_with_an_endless_grace_a_run_goes_on_without_followers() -> None:
    run, elsewhere = Run(), Elsewhere(False)
    audience = audience_of(run, elsewhere, inf)
    audience.joined()
    audience.left()
    await asyncio.sleep(GRACE)
    assert not elsewhere.asked.is_set()
