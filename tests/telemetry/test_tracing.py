"""Traces of a real service, at a real collector.

Covers `chat.runs.live.tracing`, `telemetry.checks`, `telemetry.conf`, `telemetry.otlp`, `telemetry.span_port`.
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.chat.providers.fake_openai import DONE, call, finish, refused, said, streamed, usage
from tests.fake_service import FakeService, Reply, fake_service
from tests.managing import manage
from tests.orchestrator_site.test_serve import ROOT, address, environment, serving
from tests.servers import free_port
from tests.streams import Answer, read_until
from tests.telemetry.receiver import Collector, collecting, values

pytestmark = pytest.mark.slow

SECRET = "sk-" + "a1" * 20
FILE = "the-only-file.txt"
CALLS_A_TOOL = streamed(
    call(0, call_id="c1", name="fs_list", arguments=json.dumps({"path": ".", "glob": "*.txt"})),
    finish("tool_calls"),
    usage(prompt_tokens=11, completion_tokens=5),
    DONE,
)
ANSWERS = streamed(said("It is ", "the answer."), finish(), usage(prompt_tokens=30, completion_tokens=7), DONE)


class Traced:
    """A service that sends traces."""

    def __init__(self, base: str, fake: FakeService, session: aiohttp.ClientSession, process: Any) -> None:
        self.base = base
        self.fake = fake
        self.session = session
        self.process = process

    async def ask(self, headers: dict[str, str] | None = None, **body: Any) -> Answer:
        async with self.session.post(f"{self.base}/chat/stream", json=body, headers=headers) as response:
            return Answer(response.status, response.headers, await response.read())

    async def post(self, path: str, **body: Any) -> None:
        async with self.session.post(self.base + path, json=body) as response:
            assert response.status == 200, await response.text()


@asynccontextmanager
async def traced(folder: Path, endpoint: str, *replies: Reply, **variables: str) -> AsyncIterator[Traced]:
    (folder / "workspaces").mkdir()
    (folder / "workspaces" / FILE).write_text("a")
    async with fake_service() as fake, aiohttp.ClientSession() as session:
        fake.play(*replies)
        own = {"OPENAI_BASE_URL": f"{fake.url}/v1", "OPENAI_API_KEY": "x", "DEFAULT_MODEL": "model-1"}
        own |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50", "LOG_LEVEL": "warning"}
        running = serving(folder, **own, **variables)
        exported, process = await asyncio.to_thread(running.__enter__)
        try:
            yield Traced(address(exported), fake, session, process)
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


async def spans_of(collector: Collector, count: int) -> list[Span]:
    return await asyncio.to_thread(collector.spans, count)


async def test_turn_is_one_trace_with_its_calls_and_its_tool(tmp_path: Path) -> None:
    with collecting() as collector:
        async with traced(tmp_path, collector.url, CALLS_A_TOOL, ANSWERS) as service:
            answer = await service.ask(message="What is there?", temperature=0.5)
            spans = await spans_of(collector, 4)
    root, first, tool, second = spans
    assert [span.name for span in spans] == ["invoke_agent", "chat model-1", "execute_tool fs.list", "chat model-1"]
    assert {span.trace_id for span in spans} == {bytes.fromhex(answer.headers["X-Run-Id"].replace("-", ""))}
    assert root.parent_span_id == b""
    assert {span.parent_span_id for span in spans[1:]} == {root.span_id}
    assert [span.kind for span in spans] == [1, 3, 1, 3]
    assert all(root.start_time_unix_nano <= span.start_time_unix_nano for span in spans)
    assert all(span.end_time_unix_nano <= root.end_time_unix_nano for span in spans)
    assert first.end_time_unix_nano <= tool.start_time_unix_nano < tool.end_time_unix_nano
    assert tool.end_time_unix_nano <= second.start_time_unix_nano

    run = {"orchestrator.run.id": answer.headers["X-Run-Id"], "orchestrator.run.status": "completed"}
    assert values(root.attributes) == run | {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "model-1",
        "gen_ai.conversation.id": answer.headers["X-Session-Id"],
        "gen_ai.usage.input_tokens": 41,
        "gen_ai.usage.output_tokens": 12,
        "orchestrator.run.reason": "completed",
    }
    chat = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "model-1"}
    chat |= {"gen_ai.request.temperature": 0.5, "gen_ai.usage.cache_read.input_tokens": 0}  # type: ignore[dict-item]
    chat |= {"gen_ai.usage.reasoning.output_tokens": 0}  # type: ignore[dict-item]
    used = {"gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 5}
    assert values(first.attributes) == chat | used | {"gen_ai.response.finish_reasons": ["tool_calls"]}
    used = {"gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 7}
    assert values(second.attributes) == chat | used | {"gen_ai.response.finish_reasons": ["stop"]}
    assert values(tool.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "fs.list",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": answer.one("tool_call")["execution_id"],
    }
    assert collector.resource["service.name"] == "orchestrator-service"
    assert {path for path, _ in collector.requests} == {"/v1/traces"}


async def test_trace_of_the_caller_is_continued(tmp_path: Path) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with collecting() as collector:
        headers = {"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=me", "OTEL_SERVICE_NAME": "mine"}
        async with traced(tmp_path, collector.url, ANSWERS, ANSWERS, **headers) as service:
            await service.ask({"traceparent": f"00-{trace}-{parent}-01"}, message="Hi")
            root, chat = await spans_of(collector, 2)
            await service.ask({"traceparent": "00-nonsense-\xff"}, message="Hi")
            *_, other, _ = await spans_of(collector, 4)
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (trace, parent)
    assert (chat.trace_id, chat.parent_span_id) == (root.trace_id, root.span_id)
    assert other.parent_span_id == b""
    assert collector.resource["service.name"] == "mine"
    assert collector.requests[0][1]["x-tenant"] == "me"


async def test_messages_are_not_in_a_trace(tmp_path: Path) -> None:
    with collecting() as collector:
        async with traced(tmp_path, collector.url, CALLS_A_TOOL, ANSWERS) as service:
            await service.ask(message="the question", instructions="the instructions")
            spans = await spans_of(collector, 4)
    exported = str([values(span.attributes) for span in spans])
    for text in ("the question", "the instructions", "the answer", "*.txt", FILE):
        assert text not in exported


async def test_captured_messages_are_masked(tmp_path: Path) -> None:
    capture = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    with collecting() as collector:
        async with traced(tmp_path, collector.url, CALLS_A_TOOL, ANSWERS, **capture) as service:
            await service.ask(message=f"My key is {SECRET}.", instructions=f"Be kind. {SECRET}")
            _, first, tool, second = await spans_of(collector, 4)
    asked, ran, answered = (values(span.attributes) for span in (first, tool, second))
    assert SECRET not in str([asked, ran, answered])
    messages = [{"role": "user", "parts": [{"type": "text", "content": "My key is [secret]."}]}]
    assert json.loads(asked["gen_ai.input.messages"]) == messages
    assert json.loads(asked["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be kind. [secret]"}]
    assert json.loads(ran["gen_ai.tool.call.arguments"]) == {"path": ".", "glob": "*.txt"}
    assert FILE in ran["gen_ai.tool.call.result"]
    (output,) = json.loads(answered["gen_ai.output.messages"])
    assert output["parts"] == [{"type": "text", "content": "It is the answer."}]
    assert [message["role"] for message in json.loads(answered["gen_ai.input.messages"])] == [
        "user",
        "assistant",
        "tool",
    ]


async def test_failures_are_reported_by_code(tmp_path: Path) -> None:
    retries = {"PROVIDER_MAX_RETRIES": "1"}
    with collecting() as collector:
        async with traced(tmp_path, collector.url, refused(500), refused(401), **retries) as service:
            await service.ask(message="Hi", tool_calls=[{"name": "fs.read", "params": {"path": "nowhere"}}])
            root, tool, first, second = await spans_of(collector, 4)
    codes = [values(span.attributes).get("error.type") for span in (tool, first, second, root)]
    assert codes == ["not_found", "provider_unavailable", "provider_auth", "provider_auth"]
    assert {span.status.code for span in (tool, first, second, root)} == {Status.STATUS_CODE_ERROR}


async def test_execution_after_an_approval_is_in_the_same_trace(tmp_path: Path) -> None:
    with collecting() as collector:
        async with traced(tmp_path, collector.url, TOOL_POLICY="ask fs.write") as service:
            write = {"name": "fs.write", "params": {"path": "a.txt", "content": "a"}}
            asking = {"tool_calls": [write], "on_disconnect": "continue"}
            async with service.session.post(f"{service.base}/chat/stream", json=asking) as stream:
                text = b""
                while b"approval_required" not in text or not text.endswith(b"\n\n"):
                    text += await read_until(stream, b"\n\n")
                waits = next(e for e in Answer(200, {}, text).events if e["type"] == "approval_required")
                path = f"/tools/executions/{waits['execution_id']}/approve"
                await service.post(path, params_sha256=waits["params_sha256"])
                await stream.read()
            first, asked, second, ran = await spans_of(collector, 4)
    assert len({span.trace_id for span in (first, asked, second, ran)}) == 1
    assert [span.name for span in (first, asked, second, ran)] == ["invoke_agent", "execute_tool fs.write"] * 2
    assert values(first.attributes)["orchestrator.run.status"] == "waiting"
    assert values(asked.attributes)["orchestrator.approval"] == "required"
    assert values(second.attributes)["orchestrator.run.status"] == "completed"
    assert values(ran.attributes)["gen_ai.tool.name"] == "fs.write"


async def test_unreachable_collector_is_logged_once_and_delays_nothing(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    timeout = {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.2"}
    async with traced(tmp_path, endpoint, *[ANSWERS] * 20, **timeout) as service:
        for _ in range(20):
            began = time.monotonic()
            answer = await service.ask(message="Hi")
            assert answer.events[-1]["type"] == "end"
            assert time.monotonic() - began < 2
        await asyncio.sleep(1)
        service.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, log = await asyncio.to_thread(service.process.communicate)
        assert time.monotonic() - began < 6
        assert service.process.returncode == 0
    assert log.count("traces.unsent") == 1
    assert "Traceback" not in log


PLAY = """
import django, sys
django.setup()
import orchestrator_site.http.app, chat.service
from telemetry import tracing
assert tracing.tracer() is None
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def test_without_an_endpoint_no_tracing_package_is_loaded(tmp_path: Path) -> None:
    variables = environment(tmp_path) | {"DJANGO_SETTINGS_MODULE": "orchestrator_site.settings"}
    command = [sys.executable, "-c", PLAY]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_endpoint_without_the_packages_stops_the_start(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden" / "opentelemetry"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()  # A package without the exporter hides the installed one.
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "PYTHONPATH": str(hidden.parent)}
    done = manage(tmp_path, "check", **variables)
    assert done.returncode != 0
    assert "telemetry.E001" in done.stderr
    assert "uv sync --extra otel" in done.stderr
