"""Runs, and calls outside of runs, of a killed process, as the next process finds them.

Covers `kernel.process`.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chat.providers.fake_openai import said, streamed
from tests.fake_service import fake_service
from tests.orchestrator_site.test_serve import address, serving
from tests.streams import events, read_until

CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "terminal.exec", "arguments": {"command": "sleep 60"}},
}
MCP_HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


async def get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        return await response.json()


async def stream_until_killed(
    session: aiohttp.ClientSession, folder: Path, variables: dict[str, str]
) -> tuple[bytes, Mapping[str, str]]:
    """Stream until the server is killed, and return what was received, all of it stored before the kill."""
    with serving(folder, **variables) as (output, process):
        async with session.post(address(output) + "/chat/stream", json={"message": "Hi"}) as response:
            async with asyncio.timeout(10):
                got = await read_until(response, b"Half")
                while kept(folder) < len(events(got)):
                    await asyncio.sleep(0.01)
            process.kill()
            return got, response.headers


def kept(folder: Path) -> int:
    """Return the number of the last frame in the database."""
    with closing(sqlite3.connect(folder / "orchestrator.db")) as database:
        return int(database.execute("SELECT max(last) FROM run_events").fetchone()[0])


async def test_run_of_a_killed_process_is_interrupted_and_keeps_its_stored_frames(tmp_path: Path) -> None:
    async with fake_service() as fake, aiohttp.ClientSession() as session:
        variables = {"OPENAI_BASE_URL": f"{fake.url}/v1", "OPENAI_API_KEY": "x"}
        fake.play(streamed(said("Half"), ending="silence"))
        got, headers = await stream_until_killed(session, tmp_path, variables)
        with serving(tmp_path, **variables) as (output, _):
            base = address(output)
            stream = base + headers["Content-Location"]
            run = await get(session, f"{base}/chat/runs/{headers['X-Run-Id']}")
            assert (run["status"], run["reason"]) == ("interrupted", "interrupted")
            async with session.get(stream) as response:
                log = await response.read()
            assert log.startswith(got)
            last = events(log)[-1]
            assert (last["type"], last["code"], last["durable_to"]) == ("error", "interrupted", last["id"] - 1)
            async with session.get(stream, headers={"Last-Event-ID": str(last["id"] + 50)}) as response:
                assert events(await response.read()) == [last]
            freed = await get(session, f"{base}/chat/sessions/{headers['X-Session-Id']}")
            assert freed["active_run"] is None


@pytest.mark.slow
async def test_tool_call_outside_of_a_run_is_interrupted_with_its_process(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        with serving(tmp_path, TERMINAL_WHITELIST="sleep") as (output, process):
            base = address(output)
            calling = asyncio.create_task(session.post(f"{base}/mcp", json=CALL, headers=MCP_HEADERS))
            async with asyncio.timeout(20):
                while not (executions := (await get(session, f"{base}/tools/executions"))["items"]):
                    await asyncio.sleep(0.02)
            process.kill()
            with pytest.raises(aiohttp.ClientError):
                await (await calling).read()
        assert (executions[0]["status"], executions[0]["run_id"]) == ("running", None)
        with serving(tmp_path) as (output, _):
            found = await get(session, f"{address(output)}/tools/executions/{executions[0]['id']}")
            assert (found["status"], found["code"]) == ("interrupted", "interrupted")
            assert "may or may not have taken effect" in found["error"]
