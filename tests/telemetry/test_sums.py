"""Sums over workers that share a folder."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from telemetry import metrics
from telemetry.worker_totals import WorkerTotals, retire


def of_another(folder: Path, pid: int) -> None:
    """What a worker with this process id has written."""
    numbers = {"orchestrator_runs_started_total": [[[], [5.0]]], "orchestrator_followers": [[[], [2.0]]]}
    (folder / f"{pid}.living").write_bytes(msgspec.json.encode(numbers))


def started(sums: WorkerTotals) -> float:
    return sums.all().get("orchestrator_runs_started_total", {}).get((), [0.0])[0]


async def test_the_living_and_the_ended_are_counted_and_what_the_ended_held_open_is_not(tmp_path: Path) -> None:
    own, sums = WorkerTotals(), WorkerTotals()
    sums.share(tmp_path)
    of_another(tmp_path, 1)
    assert started(sums) == started(own) + 5
    held = sums.all()["orchestrator_followers"][()][0]
    retire(tmp_path, 1)
    retire(tmp_path, 1)
    of_another(tmp_path, 1)
    retire(tmp_path, 1)
    assert started(sums) == started(own) + 10
    assert sums.all()["orchestrator_followers"].get((), [0.0])[0] == held - 2


async def test_what_a_worker_counts_is_there_for_the_others_within_a_second_or_two(tmp_path: Path) -> None:
    sums = WorkerTotals()
    sums.share(tmp_path)
    metrics.runs_started.add()
    async with asyncio.timeout(5):
        while not (tmp_path / f"{os.getpid()}.living").exists():
            await asyncio.sleep(0.05)


async def test_what_was_told_is_in_the_file_so_that_another_tells_no_less(tmp_path: Path) -> None:
    sums = WorkerTotals()
    sums.share(tmp_path)
    metrics.runs_started.add()
    told = started(sums)
    numbers = msgspec.json.decode((tmp_path / f"{os.getpid()}.living").read_bytes())
    assert numbers["orchestrator_runs_started_total"] == [[[], [told]]]


async def test_without_its_folder_a_worker_tells_nothing_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sums = WorkerTotals()
    sums.share(tmp_path / "gone")
    assert sums.all() == {}
    assert "metrics.unshared" in caplog.text
