"""Totals over workers that share a folder."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from telemetry import metrics
from telemetry.worker_totals import WorkerTotals, retire


def of_another(folder: Path, pid: int) -> None:
    """Write the file of a worker with this process id."""
    numbers = {"orchestrator_runs_started_total": [[[], [5.0]]], "orchestrator_followers": [[[], [2.0]]]}
    (folder / f"{pid}.living").write_bytes(msgspec.json.encode(numbers))


def started(sums: WorkerTotals) -> float:
    return sums.all().get("orchestrator_runs_started_total", {}).get((), [0.0])[0]


async def test_totals_include_ended_workers_except_for_their_gauges(tmp_path: Path) -> None:
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


async def test_count_of_a_worker_reaches_the_others_within_two_seconds(tmp_path: Path) -> None:
    sums = WorkerTotals()
    sums.share(tmp_path)
    metrics.runs_started.add()
    async with asyncio.timeout(5):
        while not (tmp_path / f"{os.getpid()}.living").exists():
            await asyncio.sleep(0.05)


async def test_reported_count_is_in_the_file_so_that_no_worker_reports_less(tmp_path: Path) -> None:
    sums = WorkerTotals()
    sums.share(tmp_path)
    metrics.runs_started.add()
    reported = started(sums)
    numbers = msgspec.json.decode((tmp_path / f"{os.getpid()}.living").read_bytes())
    assert numbers["orchestrator_runs_started_total"] == [[[], [reported]]]


async def test_worker_without_its_folder_reports_nothing_and_continues(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sums = WorkerTotals()
    sums.share(tmp_path / "gone")
    assert sums.all() == {}
    assert "metrics.unshared" in caplog.text
