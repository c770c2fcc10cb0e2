"""`deploy.cloud_run` as callers and models use it.

Covers `tools.builtin.deploy` and `tools.cloud_run.deploy_tools`.
"""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from aiohttp import web
from google.cloud.run_v2.services.services.transports import ServicesGrpcAsyncIOTransport

from chat.models import Run
from chat.providers.scripted import Scripted
from storage.ids import new_id
from storage.reader import read
from storage.writer import writer
from tests.access.belongings import until_waiting
from tests.access.conftest import Holder
from tests.conftest import Api, Start
from tests.tools.cloud_run.fake import FakeCloudRun, fake_cloud_run
from tools.builtin import deploy
from tools.builtin.deploy import Target
from tools.cloud_run import client as client_module
from tools.cloud_run.client import CloudRun
from tools.cloud_run.deploy_tools import deploy_tools
from tools.cloud_run.deployment import Operation
from tools.models import ToolExecution
from tools.registry import Registry

NAME = "projects/p/locations/europe-west1/services/web"
PARAMS = {"service": "web", "image": "eu.example/web:2", "env": {"MODE": "new"}}
LOCAL = Holder("local", "", new_id(), "operator")


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeCloudRun]:
    monkeypatch.setattr(client_module, "POLL_SECONDS", 0.0)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with fake_cloud_run() as made:
        made.tag_url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        made.set(NAME, "eu.example/web:1")
        yield made
    await runner.cleanup()


@pytest.fixture
async def registry(fake: FakeCloudRun) -> AsyncIterator[Registry]:
    channel = grpc.aio.insecure_channel(fake.address)
    api = CloudRun(lambda: ServicesGrpcAsyncIOTransport(channel=channel), max_seconds=5)
    target = Target(api=api, project="p", region="europe-west1", images=("eu.example/",))
    yield Registry(deploy.tools(target))
    await channel.close()


async def call(api: Api, **params: Any) -> dict[str, Any]:
    """Return the result of a call, or its error."""
    answer = await api.ask(tool_calls=[{"name": "deploy.cloud_run", "params": params}])
    (last,) = [event for event in answer.events if event["type"] in {"tool_result", "tool_error"}]
    return dict(last.get("data") or last)


def test_tool_that_is_not_configured_says_what_is_missing() -> None:
    (tool,) = deploy_tools()
    assert tool.disabled == "CLOUD_RUN_PROJECT and CLOUD_RUN_REGION must be set"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"service": "Web"}, "invalid_params"),
        ({"service": "../web"}, "invalid_params"),
        ({"image": "elsewhere.example/web"}, "not_allowed"),
        ({"region": "europe-west1/services/other"}, "invalid_params"),
        ({"env": {"A=B": "x"}}, "invalid_params"),
        ({"env": {"DB_PASSWORD": "plover"}}, "invalid_params"),
        ({"traffic": 101}, "invalid_params"),
        ({"flag": True}, "invalid_params"),
    ],
)
async def test_bad_params_reach_no_service(
    start: Start, fake: FakeCloudRun, registry: Registry, changes: dict[str, Any], code: str
) -> None:
    api = await start(Scripted(), tools=registry)
    assert (await call(api, **{**PARAMS, **changes}))["code"] == code
    assert fake.calls == []


async def test_dry_run_and_deployment_of_a_caller(start: Start, fake: FakeCloudRun, registry: Registry) -> None:
    api = await start(Scripted(), tools=registry)
    dry = await call(api, **PARAMS, dry_run=True)
    assert (dry["dry_run"], fake.changes) == (True, [])
    done = await call(api, **PARAMS)
    assert (done["revision"], done["traffic"], done["changes"]) == (dry["revision"], 100, dry["changes"])
    assert fake.services[NAME].template.containers[0].image == PARAMS["image"]


async def decide(api: Api, waiting: dict[str, Any]) -> dict[str, Any]:
    """Approve an execution, and return it when it has ended."""
    path = f"/tools/executions/{waiting['id']}"
    body = {"params_sha256": waiting["params_sha256"]}
    assert (await api.call("POST", f"{path}/approve", json=body)).status == 200
    await api.call("GET", f"/chat/runs/{waiting['run_id']}/stream")
    return dict(await api.get(path))


async def begun(api: Api, **params: Any) -> dict[str, Any]:
    """Begin a call that needs an approval, and return the execution that waits."""
    body = {"tool_calls": [{"name": "deploy.cloud_run", "params": params}], "on_disconnect": "continue"}
    async with api.open(body) as response:
        await response.content.readany()
        return dict(await until_waiting(api, LOCAL))


async def test_approval_shows_the_difference_and_is_bound_to_it(
    start: Start, fake: FakeCloudRun, registry: Registry
) -> None:
    api = await start(Scripted(), tools=registry, policy="ask deploy.*")
    waiting = await begun(api, **PARAMS)
    assert "+ image: eu.example/web:2" in waiting["params"]["preview"]["changes"]
    fake.set(NAME, "eu.example/web:1b")
    assert (await decide(api, waiting))["code"] == "conflict"
    assert fake.changes == []
    ended = await decide(api, await begun(api, **PARAMS))
    assert (ended["status"], ended["data"]["traffic"]) == ("succeeded", 100)


async def test_public_access_needs_an_approval_even_if_the_policy_allows_it(
    start: Start, fake: FakeCloudRun, registry: Registry
) -> None:
    api = await start(Scripted(), tools=registry, policy="allow deploy.*")
    waiting = await begun(api, **PARAMS, public=True)
    assert any("allUsers" in line for line in waiting["params"]["preview"]["changes"])
    assert (fake.changes, fake.policies) == ([], {})
    assert (await decide(api, waiting))["data"]["public"]
    assert fake.policies[NAME].bindings[0].members == ["allUsers"]


async def test_operation_of_a_call_that_a_crash_ended_is_waited_for(
    start: Start, fake: FakeCloudRun, registry: Registry
) -> None:
    api = await start(Scripted(), tools=registry)
    assert (await call(api, **PARAMS))["traffic"] == 100
    row = ToolExecution.objects.filter(tool="deploy.cloud_run")
    operation = next(iter(fake.operations))
    fact = {"key": NAME, "fact": operation}
    await writer.write(lambda: row.update(status=ToolExecution.Status.INTERRUPTED, data=fact))
    await writer.write(lambda: Run.objects.update(status=Run.Status.INTERRUPTED))
    fake.operations[operation], before = 3, list(fake.changes)
    again = await call(api, **PARAMS)
    assert "deployed already" in again["notes"][0]
    assert (fake.operations[operation], fake.changes) == (0, before)


async def test_operation_is_in_the_row_before_it_is_waited_for(
    start: Start, fake: FakeCloudRun, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    wait = CloudRun.wait

    async def look(self: CloudRun, operation: Operation) -> None:
        row = await read(lambda: ToolExecution.objects.filter(tool="deploy.cloud_run").values("status", "data").get())
        seen.append((row["status"], row["data"]["fact"] == operation.name))
        await wait(self, operation)

    monkeypatch.setattr(CloudRun, "wait", look)
    api = await start(Scripted(), tools=registry)
    assert (await call(api, **PARAMS))["traffic"] == 100
    assert seen == [("running", True)] * 2
