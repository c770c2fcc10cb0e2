"""Calls of HTTP services over real sockets: what is sent, what an answer becomes, and what is refused.

Covers `tools.http_tools.tools`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spending.accounts import Payer
from tests.fake_service import FakeService, Reply, fake_service
from tests.managing import manage, migrated
from tests.tools.http_tools.documents import service, written
from tools.base import Execution, Tool, ToolError
from tools.http_tools.client import MAX_WAITING, HttpClient
from tools.http_tools.tools import http_tools
from tools.web.addresses import is_public

KEY = "k3y-of-the-tracker"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def fake() -> AsyncIterator[FakeService]:
    async with fake_service() as made:
        yield made


def tools(folder: Path, fake: FakeService, client: HttpClient | None = None, **fields: str) -> dict[str, Tool]:
    lines = {"server": f'"{fake.url}/v1"', "private": "true", "headers": '{ Authorization = "env:KEY" }', **fields}
    made = service(folder, **lines)
    found = http_tools(made, client or HttpClient(made), lambda text: KEY in text)
    return {tool.name.rpartition(".")[2]: tool for tool in found}


async def call(tool: Tool, **given: Any) -> Any:
    async def silent(stream: str, text: str) -> None:
        """Send no live output."""

    execution = Execution(payer=Payer(owner="alice"), emit=silent)
    return msgspec.to_builtins(await tool.run(tool.converted(given), execution))


def reply(body: Any = None, *, status: int = 200, kind: str = "application/json", **options: Any) -> Reply:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": kind, **options.pop("headers", {})}
    return Reply(status=status, headers=headers, pieces=[text] if text else [], **options)


async def test_call_sends_the_operators_fields_and_returns_json(tmp_path: Path, fake: FakeService) -> None:
    fake.play(reply({"issues": [1]}))
    found = await call(tools(tmp_path, fake)["listIssues"], label=["a"], **{"X-Team": "blue"})
    assert found == {"status": 200, "content_type": "application/json", "size": 15, "body": {"issues": [1]}}
    (sent,) = fake.requests
    assert (sent.method, sent.target) == ("GET", "/v1/issues?label=a")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["x-team"] == "blue"
    assert sent.headers["accept-encoding"] == "identity"


async def test_param_never_stands_beside_a_field_of_the_operator(tmp_path: Path, fake: FakeService) -> None:
    heads: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        url = f'"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"'
        found = tools(tmp_path, fake, server=url, headers='{ x-team = "of the operator" }')
        await call(found["listIssues"], **{"X-Team": "of the model"})
    assert heads[0].lower().count(b"x-team:") == 1
    assert b"of the model" not in heads[0]


async def test_body_is_sent_as_json(tmp_path: Path, fake: FakeService) -> None:
    fake.play(reply({"id": 7}, status=201))
    assert (await call(tools(tmp_path, fake)["create_issue"], body={"title": "a"}))["status"] == 201
    assert fake.requests[0].body == {"title": "a"}


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (reply(b"", kind=""), None),
        (reply(b"plain \xff", kind="text/plain"), "plain \ufffd"),
        (reply(b"<a/>", kind="application/xml"), "<a/>"),
        (reply(b"{broken", kind="application/json"), "{broken"),
        (reply(b"[" * 50_000, kind="application/json"), "[" * 50_000),
        (reply(b'{"a": NaN}', kind="application/problem+json"), {"a": "NaN"}),
        (reply(b"\x89PNG", kind="image/png"), None),
    ],
)
async def test_answers_of_any_kind_become_data(tmp_path: Path, fake: FakeService, answer: Reply, body: Any) -> None:
    fake.play(answer)
    assert (await call(tools(tmp_path, fake)["listIssues"]))["body"] == body


@pytest.mark.parametrize(
    ("answer", "code", "problem"),
    [
        (reply({"error": "no\x1b[2J"}, status=404), "not_found", "status 404: .*no"),
        (reply(b"denied", status=401, kind="text/plain"), "denied", "status 401: denied"),
        (reply(b"", status=422), "invalid_params", "status 422"),
        (reply({"a": "x" * 5_000}, status=500), "failed", "status 500"),
        (reply(b"", status=302, headers={"Location": "http://127.0.0.1/"}), "failed", "redirects are not followed"),
        (reply(b"x" * 2_000, kind="text/plain"), "too_large", "more than 1024 bytes"),
        (reply(b"x", headers={"Content-Encoding": "gzip"}), "failed", "compressed"),
        (reply(b"x", ending="cut"), "failed", "failed"),
        (Reply(status=None, ending="cut"), "failed", "failed"),
    ],
)
async def test_refused_answer_is_an_error_with_a_code(
    tmp_path: Path, fake: FakeService, answer: Reply, code: str, problem: str
) -> None:
    fake.play(answer)
    with pytest.raises(ToolError, match=problem) as refusal:
        await call(tools(tmp_path, fake, max_result_bytes="1024")["listIssues"])
    assert refusal.value.code == code
    assert len(str(refusal.value)) < 1_200
    assert str(refusal.value).isprintable()
    assert len(fake.requests) == 1


async def test_silent_service_times_out_and_a_write_is_never_repeated(tmp_path: Path, fake: FakeService) -> None:
    found = tools(tmp_path, fake, total_seconds="0.2")
    for name, given, unknown in (("listIssues", {}, False), ("create_issue", {"body": {"title": "a"}}, True)):
        fake.play(Reply(status=None, ending="silence"))
        with pytest.raises(ToolError, match=r"did not answer within 0\.2 s") as refusal:
            await call(found[name], **given)
        assert ("effect is unknown" in str(refusal.value)) is unknown
    fake.play(Reply(status=None, ending="cut"))
    with pytest.raises(ToolError, match="effect is unknown") as refusal:
        await call(found["create_issue"], body={"title": "a"})
    assert refusal.value.code == "interrupted"
    assert len(fake.requests) == 3


async def test_closed_port_is_an_error_that_nothing_was_sent(tmp_path: Path, fake: FakeService) -> None:
    found = tools(tmp_path, fake, server='"http://127.0.0.1:9"')
    with pytest.raises(ToolError, match=r"failed \(ClientConnectorError\)\.$"):
        await call(found["create_issue"], body={"title": "a"})


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1:{port}", "http://[::1]:{port}", "http://[::ffff:127.0.0.1]:{port}"]
)
async def test_private_addresses_are_refused_unless_they_are_allowed(
    tmp_path: Path, fake: FakeService, server: str
) -> None:
    port = fake.url.rpartition(":")[2]
    found = tools(tmp_path, fake, private="false", server=f'"{server.format(port=port)}"')
    with pytest.raises(ToolError, match="private = true in TOOLS_FILE allows it") as refusal:
        await call(found["listIssues"])
    assert refusal.value.code == "not_allowed"
    assert fake.requests == []


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "::ffff:127.0.0.1", "fd00:ec2::254", "100.100.100.200"],
)
async def test_host_that_resolves_to_a_private_address_is_refused(
    tmp_path: Path, fake: FakeService, address: str
) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["93.184.215.14", address]

    made = service(tmp_path, server='"https://rebound.example"')
    client = HttpClient(made, resolve=resolve, permitted=is_public)
    with pytest.raises(ToolError, match="an address that is not public"):
        await call(next(http_tools(made, client, lambda _: False)))


async def test_secret_in_the_params_is_not_sent(tmp_path: Path, fake: FakeService) -> None:
    tool = tools(tmp_path, fake)["listIssues"]
    for attempt in (tool.precheck(tool.converted({"label": [KEY]})), call(tool, label=[f"x{KEY}"])):
        with pytest.raises(ToolError, match="contain a secret, which is not sent to tracker"):
            await attempt
    assert fake.requests == []


@pytest.mark.parametrize("given", [{"limit": "x"}, {"unknown": 1}, {"limit": 0}, {"label": "a"}])
def test_params_that_do_not_match_the_document_are_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    (tool, *_) = http_tools(made := service(tmp_path), HttpClient(made), lambda _: False)
    with pytest.raises(msgspec.ValidationError, match="do not match the tool's schema"):
        tool.converted(given)


async def test_calls_beyond_the_places_wait_and_too_many_are_refused(tmp_path: Path, fake: FakeService) -> None:
    found = tools(tmp_path, fake, max_parallel="1")["listIssues"]
    fake.play(Reply(status=None, ending="silence"), *[reply({}) for _ in range(MAX_WAITING)])
    first = asyncio.ensure_future(call(found))
    while not fake.requests:
        await asyncio.sleep(0.01)
    others = [asyncio.ensure_future(call(found)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(ToolError, match="Too many calls of tracker wait already"):
        await call(found)
    first.cancel()
    assert {answer["status"] for answer in await asyncio.gather(*others)} == {200}
    assert fake.disconnected.is_set()


async def test_tools_of_the_file_pass_policy_and_are_recorded(tmp_path: Path, fake: FakeService) -> None:
    table = f'[services.tracker]\ndocument = "tracker.json"\noperations = ["*Issue*"]\nserver = "{fake.url}"\n'
    path = written(tmp_path, table + 'private = true\nheaders = { Authorization = "env:KEY" }\n')
    variables = {"TOOLS_FILE": str(path), "KEY": f"Bearer {KEY}", "TOOL_POLICY": "deny http.* id=7"}
    migrated(tmp_path)
    fake.play(reply({"echo": f"Bearer {KEY}"}))
    arguments = ("run_tool", "http.tracker.getIssue", "--param")
    answer = await asyncio.to_thread(manage, tmp_path, *arguments, "id=8", **variables)
    assert json.loads(answer.stdout)["body"] == {"echo": "[secret]"}
    refused = await asyncio.to_thread(manage, tmp_path, *arguments, "id=7", **variables)
    assert "denied" in refused.stderr
    broken = await asyncio.to_thread(manage, tmp_path, "check", TOOLS_FILE=str(path))
    assert f"TOOLS_FILE: {path}, line 6: [services.tracker]: the variable 'KEY'" in broken.stderr
    assert len(fake.requests) == 1
