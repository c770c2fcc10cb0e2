"""Covers `speech.worker.__main__`."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from speech.base import SpeechError
from speech.worker.pool import MAX_WAITING, WorkerPool, _Job
from speech.worker.protocol import Answer, Check, Checked, Synthesize
from tests.speech.recordings import long_silence, recording

CHECK = Check(audio=recording("wav"), kind="wav", max_seconds=60.0, piece_seconds=None)


def long_task() -> Check:
    """Return a task that takes a worker some seconds."""
    return Check(audio=long_silence(4.0), kind="flac", max_seconds=1e9, piece_seconds=None)


@pytest.fixture
async def workers() -> AsyncIterator[WorkerPool]:
    made = WorkerPool(parallel=1, threads=1)
    yield made
    made.close()


async def answers(workers: WorkerPool, task: Check | Synthesize) -> list[Answer]:
    return [answer async for answer in workers.run(task)]


async def process_of(workers: WorkerPool) -> int:
    """Return the process id of the only busy worker."""
    async with asyncio.timeout(10):
        while True:
            if found := _children() - _others:
                return found.pop()
            await asyncio.sleep(0.01)


_others: set[int] = set()


def _children() -> set[int]:
    """Return the workers of this process."""
    return {process for status in Path("/proc").glob("[0-9]*/stat") if (process := _child(status))}


def _child(status: Path) -> int | None:
    try:
        command = (status.parent / "cmdline").read_bytes()
        parent = status.read_text().rpartition(")")[2].split()[1]
    except OSError:
        return None
    return int(status.parent.name) if parent == str(os.getpid()) and b"speech.worker" in command else None


def _environment(process: int) -> bytes:
    return Path(f"/proc/{process}/environ").read_bytes()


async def test_one_process_runs_tasks_in_sequence(workers: WorkerPool) -> None:
    done = await asyncio.gather(*(answers(workers, CHECK) for _ in range(5)))
    assert done == [[Checked(seconds=1.0)]] * 5


async def test_dead_worker_is_reported_and_replaced(workers: WorkerPool) -> None:
    _others.update(_children())
    working = asyncio.create_task(answers(workers, long_task()))
    os.kill(await process_of(workers), signal.SIGKILL)
    with pytest.raises(SpeechError, match="the worker process died during the task") as caught:
        await working
    assert caught.value.code == "provider_unavailable"
    assert await answers(workers, CHECK) == [Checked(seconds=1.0)]


async def test_death_is_reported_even_if_its_thread_is_delayed(
    workers: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported, deliver = threading.Event(), _Job._deliver

    def deliver_and_wait(job: _Job, answer: Answer | None) -> None:
        deliver(job, answer)
        reported.wait(10)

    monkeypatch.setattr(_Job, "_deliver", deliver_and_wait)
    _others.update(_children())
    working = asyncio.create_task(answers(workers, long_task()))
    os.kill(await process_of(workers), signal.SIGKILL)
    try:
        with pytest.raises(SpeechError, match="the worker process died during the task"):
            await working
    finally:
        reported.set()
    assert await answers(workers, CHECK) == [Checked(seconds=1.0)]


async def test_worker_has_no_secrets_of_the_service(workers: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    _others.update(_children())
    working = asyncio.create_task(answers(workers, long_task()))
    process = await process_of(workers)
    environment = _environment(process)
    nice = os.getpriority(os.PRIO_PROCESS, process)
    working.cancel()
    assert b"sk-secret" not in environment
    assert b"HF_HUB_OFFLINE=1" in environment
    assert nice in {os.getpriority(os.PRIO_PROCESS, 0), 10}


async def test_abandoned_task_does_not_delay_the_next(workers: WorkerPool) -> None:
    working = asyncio.create_task(answers(workers, long_task()))
    await asyncio.sleep(0)
    working.cancel()
    async with asyncio.timeout(5):
        assert await answers(workers, CHECK) == [Checked(seconds=1.0)]


async def test_queue_is_bounded(workers: WorkerPool) -> None:
    waiting = [asyncio.create_task(answers(workers, long_task())) for _ in range(1 + MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(SpeechError, match="32 requests wait already") as caught:
        await answers(workers, CHECK)
    assert (caught.value.code, caught.value.retryable) == ("busy", True)
    assert caught.value.retry_after
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(5):
        assert await answers(workers, CHECK) == [Checked(seconds=1.0)]


async def test_slow_reader_applies_backpressure_to_the_worker(workers: WorkerPool) -> None:
    task = Synthesize(text="This is a sentence. " * 900, voice="heart", format="wav", speed=1.0, whole=False)
    stream = workers.run(task)
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(10):
        assert await answers(workers, CHECK) == [Checked(seconds=1.0)]
