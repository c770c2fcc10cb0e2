"""The periodic work of a process: which runs it marks as followed, and when."""

from collections.abc import Collection
from uuid import UUID

import pytest

from chat.runs.cluster import maintenance, remote_subscribers
from chat.runs.cluster.maintenance import Maintenance
from chat.runs.cluster.remote_watch import RemoteWatch
from storage.ids import new_id


class Runs:
    """The runs of this process: none."""

    elsewhere = 0

    def has(self, run_id: UUID) -> bool:
        return False


class HeldLease:
    """A lease that never expires."""

    async def keep(self) -> None: ...


@pytest.mark.django_db(transaction=True)
async def test_new_remote_subscription_is_marked_before_the_interval_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[UUID] = []

    def mark(runs: Collection[UUID], seconds: float) -> None:
        marked.extend(runs)

    monkeypatch.setattr(remote_subscribers, "mark", mark)
    monkeypatch.setattr(maintenance, "MARK_SECONDS", 3_600.0)
    watch = RemoteWatch(None)
    hurried: list[bool] = []
    watch.on_first = lambda: hurried.append(True)

    async def continue_run(run_id: UUID) -> None: ...

    work = Maintenance(HeldLease(), Runs(), watch, continue_run)
    first, second = new_id(), new_id()
    try:
        watch.changed(first, 0)
        await work.round()
        watch.changed(second, 0)
        watch.changed(second, 1)
        await work.round()
        await work.round()
    finally:
        watch.close()
    assert marked == [first, second]
    assert hurried == [True, True]
