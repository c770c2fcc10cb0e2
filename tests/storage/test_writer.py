import asyncio
import threading
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection

from storage import writer as writers
from storage.reader import read
from storage.writer import StorageUnavailable, Writer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def writer() -> Iterator[Writer]:
    writer = Writer()
    yield writer
    writer.close()


def names() -> list[str]:
    return sorted(Group.objects.values_list("name", flat=True))


async def test_write_returns_after_the_commit(writer: Writer) -> None:
    group = await writer.write(lambda: Group.objects.create(name="a"))
    assert group.pk
    assert await read(names) == ["a"]


async def test_waiting_jobs_share_one_transaction(writer: Writer) -> None:
    hold, started = threading.Event(), threading.Event()
    commits: list[int] = []

    def first() -> None:
        started.set()
        hold.wait(5)

    def job(number: int) -> None:
        Group.objects.create(name=str(number))
        connection.run_on_commit or connection.on_commit(lambda: commits.append(number))

    holding = asyncio.create_task(writer.write(first))
    await asyncio.to_thread(started.wait, 5)
    waiting = [asyncio.create_task(writer.write(lambda number=number: job(number))) for number in range(10)]
    await asyncio.sleep(0)
    hold.set()
    await asyncio.gather(holding, *waiting)
    assert len(await read(names)) == 10
    assert len(commits) == 1


async def test_failing_job_does_not_fail_the_others(writer: Writer) -> None:
    def fail() -> None:
        Group.objects.create(name="never")
        raise KeyError("mine")

    jobs = [lambda: Group.objects.create(name="a"), fail, lambda: Group.objects.create(name="b")]
    results = await asyncio.gather(*map(writer.write, jobs), return_exceptions=True)
    assert isinstance(results[1], KeyError)
    assert await read(names) == ["a", "b"]


async def test_unavailable_database_is_reported(writer: Writer) -> None:
    def fail() -> None:
        raise OperationalError("database is locked")

    with pytest.raises(StorageUnavailable, match="database is locked"):
        await writer.write(fail)
    await writer.write(lambda: Group.objects.create(name="after"))
    assert await read(names) == ["after"]


async def test_full_queue_rejects_the_job(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "MAX_WAITING", 0)
    with pytest.raises(StorageUnavailable, match="Too many writes"):
        await writer.write(names)


async def test_closing_commits_the_waiting_jobs(writer: Writer) -> None:
    jobs = [asyncio.create_task(writer.write(lambda n=n: Group.objects.create(name=str(n)))) for n in range(5)]
    await asyncio.sleep(0)
    await asyncio.to_thread(writer.close)
    await asyncio.gather(*jobs)
    assert len(await read(names)) == 5
