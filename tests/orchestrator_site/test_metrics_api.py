"""`/metrics`, after the counted events have happened.

Covers `chat.runs.live.metrics`, `telemetry.process_figures`.
"""

import asyncio
import os
import re
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chat.engine.messages import ToolCall
from chat.engine.model_port import Finished, ProviderError, TokensUsed
from chat.providers.scripted import Scripted, text
from orchestrator_site.settings import VERSION
from tests.conftest import Api, Start
from tests.orchestrator_site.test_serve import address, serving

STOP = Finished(reason="stop")
USED = TokensUsed(input_tokens=10, output_tokens=4, cached_tokens=3)
Samples = dict[tuple[str, frozenset[str]], float]


def samples(output: str) -> Samples:
    """Return each sample by its name and the values of its labels."""
    families = text_string_to_metric_families(output)
    return {
        (sample.name.removeprefix("orchestrator_"), frozenset(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


async def scraped(api: Api) -> Samples:
    return samples((await api.call("GET", "/metrics")).body.decode())


def value(of: Samples, name: str, *labels: str) -> float:
    return of.get((name, frozenset(labels)), 0.0)


def grown(before: Samples, after: Samples, name: str, *labels: str) -> float:
    return value(after, name, *labels) - value(before, name, *labels)


async def test_turn_is_counted_with_its_calls_tokens_and_tool(start: Start) -> None:
    called = ToolCall(call_id="1", name="fs.list", arguments="{}")
    api = await start(Scripted([called, USED, Finished(reason="tool_calls")], [text("Hi"), USED, STOP]))
    before = await scraped(api)
    await api.ask(message="a")
    after = await scraped(api)
    for name, labels, by in (
        ("requests_total", ("POST", "/chat/stream", "200"), 1),
        ("request_seconds_count", ("POST", "/chat/stream"), 1),
        ("runs_started_total", (), 1),
        ("runs_ended_total", ("completed", "completed"), 1),
        ("run_seconds_count", (), 1),
        ("first_token_seconds_count", (), 1),
        ("tokens_total", ("scripted", "scripted-1", "input"), 20),
        ("tokens_total", ("scripted", "scripted-1", "output"), 8),
        ("tokens_total", ("scripted", "scripted-1", "cached"), 6),
        ("tool_executions_total", ("fs.list", "succeeded"), 1),
        ("tool_seconds_count", ("fs.list",), 1),
    ):
        assert grown(before, after, name, *labels) == by, name
    assert grown(before, after, "commits_total") >= 3
    assert grown(before, after, "commit_seconds_count") == grown(before, after, "commits_total")
    assert [value(after, name) for name in ("runs_active", "followers", "writes_waiting")] == [0, 0, 0]


async def test_active_runs_and_followers_are_reported_while_they_are_open(start: Start) -> None:
    api = await start(Scripted([text("a"), asyncio.Event().wait, STOP]))
    async with api.open({"message": "a"}) as response:
        await response.content.readuntil(b'"a"}')
        output = await scraped(api)
        assert (value(output, "runs_active"), value(output, "followers")) == (1, 1)
    async with asyncio.timeout(5):
        while value(await scraped(api), "followers"):
            await asyncio.sleep(0.01)


async def test_version_and_figures_of_the_processes_are_reported(start: Start) -> None:
    output = await scraped(await start(Scripted()))
    assert value(output, "build_info", VERSION) == 1
    assert value(output, "workers") == 1
    assert value(output, "process_resident_memory_bytes") > 2**20
    assert min(value(output, name) for name in ("process_cpu_seconds_total", "process_open_fds")) > 0


async def test_provider_failures_and_ended_runs_are_counted_by_code(start: Start) -> None:
    error = ProviderError("Refused.", code="provider_rejected", retryable=False)
    api = await start(Scripted([error]))
    before = await scraped(api)
    await api.ask(message="a")
    after = await scraped(api)
    assert grown(before, after, "provider_errors_total", "scripted", "provider_rejected") == 1
    assert grown(before, after, "runs_ended_total", "failed", "provider_rejected") == 1


async def test_retried_failure_is_counted(start: Start) -> None:
    busy = ProviderError("Busy.", code="provider_rate_limited", retryable=True, retry_after=0.0)
    api = await start(Scripted([busy], [text("Hi"), STOP]))
    before = await scraped(api)
    answer = await api.ask(message="a")
    assert answer.one("retry")["code"] == "provider_rate_limited"
    after = await scraped(api)
    assert grown(before, after, "provider_errors_total", "scripted", "provider_rate_limited") == 1


async def test_requests_cannot_create_label_values(start: Start) -> None:
    api = await start(Scripted([asyncio.Event().wait], [text("Hi"), STOP]))
    await api.call("GET", "/made-up-path")
    await api.call("PROPFIND", "/healthz")
    await api.ask(tool_calls=[{"name": "made.up", "params": {}}])
    async with api.open({"message": "a", "model": "made-up-model"}) as response:
        run = response.headers["X-Run-Id"]
        await api.call("POST", f"/chat/runs/{run}/cancel")
    await api.call("GET", "/tools", headers={"X-Forwarded-For": "made up"})
    output = (await api.call("GET", "/metrics")).body.decode()
    assert "made" not in output.lower()
    assert "PROPFIND" not in output
    assert run not in output
    counted = samples(output)
    for name, *labels in (
        ("requests_total", "GET", "other", "404"),
        ("requests_total", "other", "/healthz", "405"),
        ("tool_executions_total", "unknown", "unknown_tool"),
        ("refusals_total", "forwarded"),
        ("refusals_total", "not_found"),
    ):
        assert value(counted, name, *labels) >= 1, name


async def test_page_requests_are_counted_by_the_first_part_of_their_path(start: Start) -> None:
    api = await start(Scripted())
    before = await scraped(api)
    await api.call("GET", "/admin/login/")
    after = await scraped(api)
    assert grown(before, after, "requests_total", "GET", "/admin", "200") == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "Bearer secret"}, 200)],
)
async def test_with_a_key_metrics_require_it(start: Start, settings: Any, headers: dict[str, str], status: int) -> None:
    settings.API_KEY = "secret"
    api = await start(Scripted())
    assert (await api.call("GET", "/metrics", headers=headers)).status == status


@pytest.mark.slow
def test_metrics_of_several_workers_are_summed_even_after_one_dies(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", LOG_LEVEL="error") as (output, process):
        base = address(output)
        for _ in range(60):
            fetch(f"{base}/healthz")
        assert settled(base, 60) == 60
        (child, *_) = re.findall(r"\d+", Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        os.kill(int(child), signal.SIGKILL)
        assert settled(base, 60) == 60
        for _ in range(20):
            fetch(f"{base}/healthz")
        assert settled(base, 80) == 80


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own server
        return str(response.read().decode())


def settled(base: str, expected: float) -> float:
    """Return the counts of `/healthz` responses of several scrapes, once they reach the expected number."""
    deadline = time.monotonic() + 10
    output: set[float] = set()
    while time.monotonic() < deadline:
        output = {
            value(samples(fetch(f"{base}/metrics")), "requests_total", "GET", "/healthz", "200") for _ in range(8)
        }
        if min(output) >= expected:
            break
        time.sleep(0.2)
    return max(output)
