"""Repeated `kill -9` under load: nothing acknowledged is lost, and no effect happens twice."""

import asyncio
import json
import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from orchestrator_site.sample import SAMPLE
from tests.faults.conftest import LONG, Begin, Server
from tests.faults.upstream import Upstream
from tests.streams import events

pytestmark = pytest.mark.slow

ROUNDS = 100 if LONG else 4
LANES = 8


class Seen:
    """The bytes of each run that clients have received."""

    def __init__(self) -> None:
        self.runs: dict[str, bytes] = {}


def writing(asked: str) -> list[dict[str, Any]]:
    """Make the model write a file once, named after the message."""
    arguments = json.dumps({"path": f"{asked}.txt", "content": asked, "create_only": True})
    call = {"index": 0, "id": f"call-{asked}", "function": {"name": "fs_write", "arguments": arguments}}
    return [call]


async def lane(client: aiohttp.ClientSession, server: Server, seen: Seen, names: random.Random) -> None:
    """Send requests until the server is gone."""
    with suppress(aiohttp.ClientError):
        while True:
            body = {"message": f"{names.getrandbits(64):x}"}
            async with client.post(f"{server.url}/chat/stream", json=body) as response:
                if response.status != 200:
                    continue
                run = response.headers["X-Run-Id"]
                seen.runs[run] = b""
                async for piece in response.content.iter_any():
                    seen.runs[run] += piece


async def another_file(workspace: Path) -> None:
    """Wait until the workspace has a file more than now."""
    before = await asyncio.to_thread(os.listdir, workspace)
    async with asyncio.timeout(30):
        while len(await asyncio.to_thread(os.listdir, workspace)) == len(before):
            await asyncio.sleep(0.01)


async def test_kill_under_load_loses_nothing_acknowledged_and_repeats_no_effect(
    begin: Begin, models: Upstream, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    chance = random.Random(1)
    models.tokens, models.pause, models.calls = 10, 0.002, writing
    seen = Seen()
    server = begin(LEASE_SECONDS="1")
    for number in range(ROUNDS):
        lanes = [asyncio.create_task(lane(client, server, seen, chance)) for _ in range(LANES)]
        if number % 2:  # A busy machine may need longer than the random time to write a first file.
            await another_file(tmp_path / "workspaces")
        await asyncio.sleep(chance.uniform(0.05, 0.6))  # The moment of the kill is the subject of the test.
        server.process.kill()
        await asyncio.to_thread(server.process.wait)
        await asyncio.gather(*lanes)
        server = begin(LEASE_SECONDS="1")
    async with asyncio.timeout(30):
        while server.rows("SELECT count(*) FROM runs WHERE status = 'running'") != [(0,)]:
            await asyncio.sleep(0.05)
    check_rows(server, seen)
    check_effects(server, tmp_path / "workspaces")


def check_rows(server: Server, seen: Seen) -> None:
    """Check that every run that a client knows is complete up to its last stored frame, with one end."""
    assert seen.runs
    for run, body in seen.runs.items():
        key = run.replace("-", "")
        rows = server.rows("SELECT first, last, frames FROM run_events WHERE run_id = ? ORDER BY first", key)
        kept = b"".join(frames for _, _, frames in rows)
        log = events(kept)
        assert [event["id"] for event in log] == list(range(1, len(log) + 1)), "frames without gaps"
        ends = [event for event in log if event["type"] in {"end", "error"}]
        assert ends == log[-1:], "one end, and it is the last"
        got = events(body[: body.rfind(b"\n\n") + 2])
        durable = [event for event in got if event["type"] != "token" and event["id"] < log[-1]["id"]]
        assert all(event in log for event in durable), "what was sent was kept"
    assert server.rows("SELECT count(*) FROM sessions WHERE active_run IS NOT NULL") == [(0,)]
    assert server.rows("PRAGMA integrity_check") == [("ok",)]


def check_effects(server: Server, workspace: Path) -> None:
    """Check that every file has exactly one execution and is whole."""
    rows = server.rows("SELECT params, status FROM tool_executions")
    by_path: dict[str, list[str]] = {}
    for params, status in rows:
        by_path.setdefault(json.loads(params)["path"], []).append(status)
    files = {path.name for path in workspace.iterdir()} - {path.name for path in SAMPLE.iterdir()}
    assert files, "something was written"
    assert files <= set(by_path)
    assert all(len(statuses) == 1 for statuses in by_path.values())
    assert {path for path, (status,) in by_path.items() if status == "succeeded"} <= files
    assert all((workspace / name).read_text() == name.removesuffix(".txt") for name in files)
    assert not {status for statuses in by_path.values() for status in statuses} - {"succeeded", "interrupted"}
