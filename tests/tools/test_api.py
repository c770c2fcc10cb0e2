"""The tools API over a real socket: tools, executions and their output.

Covers `tools.listing`, `tools.queries`.
"""

from uuid import uuid4

import pytest

from chat.engine.model_port import Finished, ToolCall
from chat.providers.scripted import Scripted, text
from tests.conftest import Api, Start
from tools.assembly import registry
from tools.models import ToolExecution
from tools.resources import workspaces


async def read(api: Api, path: str) -> str:
    """Return the id of an execution that reads a file."""
    answer = await api.ask(tool_calls=[{"name": "fs.read", "params": {"path": path}}])
    execution: str = answer.one("tool_result")["execution_id"]
    return execution


async def test_tools_are_listed_with_their_policy_and_confinement(start: Start) -> None:
    api = await start()
    listed = await api.get("/tools")
    assert [item["name"] for item in listed["items"]] == list(registry().names)
    reading = listed["items"][0]
    assert (reading["name"], reading["policy"], reading["enabled"]) == ("fs.read", "allow", True)
    assert reading["confinement"] in listed["confinement"]["files"]["level"]
    assert listed["confinement"]["files"]["cannot_hide"]


async def test_execution_is_returned_completely(start: Start) -> None:
    api = await start()
    workspaces().root.write("api/short.txt", b"plover")
    found = await api.get(f"/tools/executions/{await read(api, 'api/short.txt')}")
    assert (found["tool"], found["status"], found["source"]) == ("fs.read", "succeeded", "caller")
    assert found["params"] == {"path": "api/short.txt"}
    assert found["data"]["content"] == "plover"
    assert found["confinement"] == workspaces().root.confinement
    assert found["error"] is None
    assert found["duration_ms"] > 0
    (listed,) = (await api.get("/tools/executions?status=succeeded&limit=1"))["items"]
    assert listed == found


async def test_long_output_is_read_in_pages_to_its_end(start: Start) -> None:
    api = await start()
    content = "".join(f"{number} größe\n" for number in range(10_000))
    workspaces().root.write("api/long.txt", content.encode())
    execution = await read(api, "api/long.txt")
    row = await ToolExecution.objects.aget(id=execution)
    assert len(str(row.data)) < 40_000
    whole, offset = "", 0
    while offset is not None:
        page = await api.get(f"/tools/executions/{execution}/output?offset={offset}&limit=50000")
        whole, offset = whole + page["text"], page["next_offset"]
    assert content.replace("\n", "\\n") in whole
    past = await api.call("GET", f"/tools/executions/{execution}/output?offset={page['size'] + 1}")
    assert past.status == 422


async def test_model_continues_reading_a_truncated_result(start: Start) -> None:
    workspaces().root.write("api/for-a-model.txt", b"line\n" * 20_000 + b"the very end\n")
    reading = ToolCall(call_id="c1", name="fs.read", arguments='{"path": "api/for-a-model.txt", "limit": 30000}')
    model = Scripted([reading, Finished(reason="tool_calls")], [text("It is long."), Finished(reason="stop")])
    api = await start(model)
    answer = await api.ask(message="read it")
    shown = str(model.requests[1].messages[-1])
    execution = answer.one("tool_result")["execution_id"]
    assert f"output.read with execution_id {execution} reads the rest" in shown
    params = {"execution_id": execution, "offset": 120_000}
    rest = await api.ask(tool_calls=[{"name": "output.read", "params": params}])
    assert "the very end" in rest.one("tool_result")["data"]["text"]


@pytest.mark.parametrize("path", ["", "/output", "/approve", "/deny"])
async def test_unknown_execution_is_404(start: Start, path: str) -> None:
    api = await start()
    method = "POST" if path in {"/approve", "/deny"} else "GET"
    body = {"json": {"params_sha256": "0" * 64}} if method == "POST" else {}
    for execution in (uuid4(), "not-an-id"):
        answer = await api.call(method, f"/tools/executions/{execution}{path}", **body)
        assert (answer.status, answer.json()["code"]) == (404, "not_found")


async def test_execution_of_another_owner_is_404(start: Start) -> None:
    api = await start()
    workspaces().root.write("api/theirs.txt", b"x")
    execution = await read(api, "api/theirs.txt")
    await ToolExecution.objects.filter(id=execution).aupdate(owner="bob")
    assert (await api.call("GET", f"/tools/executions/{execution}")).status == 404
    assert (await api.call("GET", f"/tools/executions/{execution}/output")).status == 404
    assert (await api.get("/tools/executions"))["count"] == 0


@pytest.mark.parametrize("query", ["status=done", "run_id=x", "limit=0", "limit=9999", "offset=-1"])
async def test_invalid_query_is_reported(start: Start, query: str) -> None:
    api = await start()
    answer = await api.call("GET", f"/tools/executions?{query}")
    assert (answer.status, answer.json()["code"]) == (422, "invalid_field")
