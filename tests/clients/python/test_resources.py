"""The requests with one answer, of both clients.

Covers `orchestrator_client.core.requests`, `orchestrator_client.core.answers`, `orchestrator_client.core.questions`,
`orchestrator_client.core.steps`, `orchestrator_client.core.collector`, `orchestrator_client.core.service`,
`orchestrator_client.core.errors`, `orchestrator_client.connections`.
"""

from typing import Any

import pytest
from orchestrator_client import (
    ApiError,
    Call,
    ConnectionLost,
    Image,
    ProtocolError,
    RunFailed,
    ToolResult,
    WorkspaceImage,
)
from orchestrator_client.core import steps
from orchestrator_client.core.collector import Collector
from orchestrator_client.core.events import Error, Start, Token

from chat.engine.model_port import Finished, TokensUsed
from chat.providers.scripted import Scripted, text
from tests.clients.python.conftest import ClientTo
from tests.conftest import Start as StartService
from tests.cutting import NO_RESPONSE, cutting
from tools.resources import workspaces

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
ANSWER = [text("Seven", " files."), TokensUsed(input_tokens=7, output_tokens=2), Finished(reason="stop")]


async def test_sessions_messages_runs_and_executions_are_read(start: StartService, client_to: ClientTo) -> None:
    client = client_to((await start(Scripted(ANSWER, ANSWER))).base_url)
    for number in (1, 2):
        await client.call("ask", f"Question {number}", tool_calls=[Call(name="fs.list")])
    page = await client.call("sessions", limit=1, offset=1)
    assert (page.count, [session.title for session in page.items]) == (2, ["Question 1"])
    assert (await client.call("sessions", archived=True)).items == ()
    messages = (await client.call("messages", page.items[0].id)).items
    assert [message.role for message in messages][-1] == "assistant"
    run = await client.call("run", messages[0].run_id)
    assert (run.status, run.text, run.usage.input_tokens) == ("completed", "Seven files.", 7)
    found = await client.call("executions", run_id=run.id, status="succeeded")
    assert [execution.tool for execution in found.items] == ["fs.list"]
    assert (await client.call("executions", session_id=page.items[0].id)).items == found.items
    assert (await client.call("execution", found.items[0].id)).params_sha256 == found.items[0].params_sha256
    assert (await client.call("executions", status="denied")).items == ()


async def test_tools_and_providers_are_listed(start: StartService, client_to: ClientTo) -> None:
    client = client_to((await start(Scripted())).base_url)
    (provider,) = (await client.call("providers")).items
    assert (provider.name, provider.default, provider.models) == ("scripted", True, ("scripted-1",))
    tools = {tool.name: tool for tool in (await client.call("tools")).items}
    assert tools["fs.read"].parameters["required"] == ["path"]


async def test_session_is_compacted(start: StartService, client_to: ClientTo) -> None:
    client = client_to((await start(Scripted(ANSWER))).base_url)
    answer = await client.call("ask", "Hi")
    run = await client.call("compact", answer.session_id)
    assert (run.status, run.compaction) == ("completed", None)
    assert "no older messages" in run.warning


async def test_files_are_written_listed_and_read(start: StartService, client_to: ClientTo) -> None:
    for name in ("new/a ä#?%.txt", "new/..."):
        (workspaces().root.base / name).unlink(missing_ok=True)
    client = client_to((await start(Scripted())).base_url)
    written = await client.call("write_file", "new/a ä#?%.txt", b"one", only_new=True)
    assert (written.path, written.size, written.created) == ("new/a ä#?%.txt", 3, True)
    with pytest.raises(ApiError) as caught:
        await client.call("write_file", "new/a ä#?%.txt", b"two", only_new=True)
    assert caught.value.status == 412
    assert not (await client.call("write_file", "new/a ä#?%.txt", b"\0\xff")).created
    assert await client.call("read_file", "new/a ä#?%.txt") == b"\0\xff"
    await client.call("write_file", "new/...", b"")
    entries = (await client.call("list_files", "new")).items
    assert {"new/...", "new/a ä#?%.txt"} <= {entry.path for entry in entries}
    assert len((await client.call("list_files", recursive=True)).items) > len(entries)
    with pytest.raises(ApiError) as caught:
        await client.call("read_file", "none.txt")
    assert (caught.value.status, caught.value.code) == (404, "not_found")


async def test_pictures_and_tool_calls_go_with_the_question(start: StartService, client_to: ClientTo) -> None:
    (workspaces().root.base / "shot.png").write_bytes(PNG)
    model = Scripted(ANSWER)
    client = client_to((await start(model)).base_url)
    pictures = [Image(media_type="image/png", data=PNG), WorkspaceImage(path="shot.png")]
    answer = await client.call("ask", "What?", attachments=pictures, tool_calls=[Call(name="fs.list")], seed=None)
    assert [image.data for image in model.requests[0].messages[0].images] == [PNG, PNG]
    assert any(isinstance(event, ToolResult) for event in answer.events)


async def test_request_whose_response_is_lost_is_repeated_if_that_is_safe(
    start: StartService, client_to: ClientTo
) -> None:
    api = await start(Scripted(ANSWER))
    async with cutting(api.base_url, NO_RESPONSE, NO_RESPONSE) as url:
        assert (await client_to(url).call("sessions")).items == ()
    async with cutting(api.base_url, NO_RESPONSE) as url:
        with pytest.raises(ConnectionLost, match="Cannot reach"):
            await client_to(url).call("compact", "01a204bc-4e7a-79ec-8c8b-159f994b660d")


def test_answer_that_is_too_long_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "MAX_ANSWER_BYTES", 10)
    body = steps.Body()
    body.add(b"x" * 10)
    assert body.whole() == b"x" * 10
    with pytest.raises(ProtocolError, match="which is the limit"):
        body.add(b"x")


def test_rebuilt_log_replaces_what_was_collected() -> None:
    first: dict[str, Any] = {"run_id": "r", "session_id": None, "provider": None, "model": None}
    failed = Error(error="It was cut.", code="storage", retryable=True)
    collector = Collector()
    for event in (Start(**first), Token(token="Hel"), Start(**first, rebuilt=True), Token(token="Hello"), failed):
        collector.add(event)
    with pytest.raises(RunFailed) as caught:
        collector.answer()
    assert (caught.value.text, caught.value.run_id) == ("Hello", "r")
    with pytest.raises(ConnectionLost, match="no more events"):
        Collector().answer()
