import asyncio
from collections.abc import Collection
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from chat.engine.events import Reasoning, Token, Usage
from chat.providers.scripted import text
from chat.runs.log import journal as journals
from chat.runs.log.broadcast import Broadcast
from chat.runs.log.frame_store import NotOwner
from chat.runs.log.journal import Batch, Journal, RunLog
from chat.wire import sse
from storage.writer import StorageUnavailable

USAGE = Usage(input_tokens=1, output_tokens=1, cached_tokens=0, reasoning_tokens=0, cost_usd=None, estimated=False)


class Store:
    """A database that the test can stall and fail."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failures = 0

    async def commit(self, batch: Batch) -> Collection[UUID]:
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable("locked")
        self.batches.append(batch)
        return ()

    def kept(self) -> bytes:
        return b"".join(frames.frames for batch in self.batches for frames in batch.frames)


def log_of(journal: Journal) -> RunLog:
    return RunLog(uuid4(), journal, Broadcast(), lambda _: None)


async def test_tokens_are_published_before_they_are_stored() -> None:
    store = Store()
    log = log_of(Journal(store.commit, seconds=0.001))
    store.open.clear()
    log.tokens(text("a", "b"))
    assert log.broadcast.last == 2
    assert store.batches == []
    store.open.set()
    await log.settled()
    assert store.kept() == log.broadcast.frames()


async def test_reasoning_is_published_as_tokens_are_and_in_order() -> None:
    store = Store()
    log = log_of(Journal(store.commit, seconds=0.001))
    store.open.clear()
    log.append(Reasoning(text="Hm"), urgent=False, live=True)
    log.tokens(text("a"))
    assert log.broadcast.last == 2
    log.append(USAGE)
    log.append(Reasoning(text="So"), urgent=False, live=True)
    assert log.broadcast.last == 2
    store.open.set()
    await log.settled()
    assert [type(event) for event in sse.events(log.broadcast.frames())] == [Reasoning, Token, Usage, Reasoning]
    assert store.kept() == log.broadcast.frames()


async def test_other_events_are_stored_before_they_are_published() -> None:
    store = Store()
    log = log_of(Journal(store.commit, seconds=60))
    store.open.clear()
    log.append(USAGE)
    log.tokens(text("a"))
    await asyncio.sleep(0)
    assert log.broadcast.last == 0
    store.open.set()
    await log.settled()
    assert log.broadcast.frames() == sse.frame(1, USAGE) + sse.frame(2, Token(token="a"))
    assert store.kept() == log.broadcast.frames()


async def test_waiting_frames_are_committed_in_one_batch() -> None:
    store = Store()
    journal = Journal(store.commit, seconds=0.001)
    logs = [log_of(journal) for _ in range(20)]
    for log in logs:
        log.tokens(text("a"))
        log.tokens(text("b"))
    for log in logs:
        await log.settled()
    (batch,) = store.batches
    assert sorted((frames.first, frames.last) for frames in batch.frames) == [(1, 2)] * 20


async def test_stored_frame_numbers_have_no_gaps_under_load() -> None:
    store = Store()
    log = log_of(Journal(store.commit, seconds=0.001))
    for number in range(200):
        log.tokens(text(str(number)))
        if number % 7 == 0:
            log.append(USAGE)
        if number % 3 == 0:
            await asyncio.sleep(0)
    await log.settled()
    spans = [(frames.first, frames.last) for batch in store.batches for frames in batch.frames]
    assert spans[0][0] == 1
    assert all(before[1] + 1 == after[0] for before, after in pairwise(spans))
    assert store.kept() == log.broadcast.frames()


async def test_unstorable_run_fails_without_affecting_others() -> None:
    store = Store()
    journal = Journal(store.commit, seconds=0.001)
    lost: list[StorageUnavailable] = []
    bad = RunLog(uuid4(), journal, Broadcast(), lost.append)
    good = log_of(journal)
    plain = store.commit

    async def commit(batch: Batch) -> Collection[UUID]:
        if any(run_id == bad.run_id for run_id, _ in batch.records):
            raise ArithmeticError("beyond all numbers")
        return await plain(batch)

    journal._commit = commit
    for log in (bad, good):
        log.append(USAGE)
        log.record(print)
    with pytest.raises(StorageUnavailable):
        await bad.settled()
    await good.settled()
    assert len(lost) == 1
    later = log_of(journal)
    later.append(USAGE)
    await asyncio.wait_for(later.settled(), 5)


async def test_records_are_committed_with_the_frames_around_them() -> None:
    store = Store()
    log = log_of(Journal(store.commit, seconds=0.001))
    log.append(USAGE)
    log.record(print)
    await log.settled()
    (batch,) = store.batches
    assert list(batch.records) == [(log.run_id, print)]
    assert len(batch.frames) == 1


async def test_locked_database_delays_frames_and_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "RETRY_SECONDS", 0.001)
    store = Store()
    store.failures = 3
    log = log_of(Journal(store.commit, seconds=0.001))
    log.append(USAGE)
    log.tokens(text("a"))
    await log.settled()
    assert store.kept() == log.broadcast.frames()
    assert log.broadcast.last == 2


async def test_unavailable_database_is_given_up_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(journals, "PATIENCE", 0.0)
    store = Store()
    store.failures = 1
    lost: list[int] = []
    log = RunLog(uuid4(), Journal(store.commit, seconds=0.001), Broadcast(), lambda _: lost.append(1))
    log.append(USAGE)
    with pytest.raises(StorageUnavailable):
        await log.settled()
    assert lost == [1]
    assert log.broadcast.last == 0
    log.publish_unstored()
    assert log.broadcast.frames() == sse.frame(1, USAGE)


async def test_commit_with_a_lost_reply_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "RETRY_SECONDS", 0.001)
    store = Store()

    async def commit(batch: Batch) -> Collection[UUID]:
        store.batches.append(batch)
        raise StorageUnavailable("the connection was cut")

    async def recall(batch: Batch) -> Collection[UUID]:
        return {frames.run_id for frames in batch.frames if batch in store.batches} - {gone.run_id}

    lost: list[StorageUnavailable] = []
    journal = Journal(commit, seconds=60, recall=recall)
    log, gone = log_of(journal), RunLog(uuid4(), journal, Broadcast(), lost.append)
    for each in (log, gone):
        each.append(USAGE)
    await log.settled()
    assert log.broadcast.frames() == sse.frame(1, USAGE)
    assert len(store.batches) == 1
    assert [type(error) for error in lost] == [NotOwner]
    assert gone.broadcast.frames() == b""
