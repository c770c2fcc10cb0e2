"""Deployments to a fake of Cloud Run over a real socket, failures first.

Covers `tools.cloud_run.client` and `tools.cloud_run.plan`.
"""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.cloud.run_v2.services.services.transports import ServicesGrpcAsyncIOTransport

from tests.tools.cloud_run.fake import FakeCloudRun, fake_cloud_run
from tools.base import ToolError
from tools.cloud_run import client as client_module
from tools.cloud_run.client import CloudRun
from tools.cloud_run.deployment import Deployed, Operation, Steps, deploy, plan_of
from tools.cloud_run.plan import Wanted, planned

NAME = "projects/p/locations/europe-west1/services/web"
WANTED = Wanted(name=NAME, service="web", image="eu.example/web:2", env={"MODE": "new"})


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeCloudRun]:
    monkeypatch.setattr(client_module, "POLL_SECONDS", 0.0)
    async with fake_cloud_run() as made:
        yield made


@pytest.fixture
async def api(fake: FakeCloudRun) -> AsyncIterator[CloudRun]:
    channel = grpc.aio.insecure_channel(fake.address)
    made = CloudRun(lambda: ServicesGrpcAsyncIOTransport(channel=channel), max_seconds=5)
    yield made
    await made.close()
    await channel.close()


class Outside:
    """The steps of a deployment: `statuses` are the answers of the new revision, one for each check."""

    def __init__(self, *statuses: int | None) -> None:
        self.statuses = list(statuses) or [200]
        self.remembered: list[Operation] = []
        self.said: list[str] = []

    def steps(self, api: CloudRun) -> Steps:
        async def progress(text: str) -> None:
            self.said.append(text)

        async def remember(operation: Operation) -> None:
            self.remembered.append(operation)

        async def status_of(url: str) -> int | None:
            return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

        async def sleep(seconds: float) -> None:
            return None

        return Steps(api=api, progress=progress, remember=remember, status_of=status_of, sleep=sleep)


async def deployed(api: CloudRun, wanted: Wanted = WANTED, outside: Outside | None = None, **given: Any) -> Deployed:
    return await deploy((outside or Outside()).steps(api), wanted, await plan_of(api, wanted), **given)


def traffic(fake: FakeCloudRun) -> dict[str, int]:
    return {one.revision: one.percent for one in fake.services[NAME].traffic if one.percent}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "denied"),
        (grpc.StatusCode.UNAUTHENTICATED, "denied"),
        (grpc.StatusCode.INVALID_ARGUMENT, "invalid_params"),
        (grpc.StatusCode.ABORTED, "conflict"),
        (grpc.StatusCode.FAILED_PRECONDITION, "conflict"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "timed_out"),
        (grpc.StatusCode.INTERNAL, "failed"),
    ],
)
async def test_refusals_of_the_vendor_have_a_code_and_change_nothing(
    fake: FakeCloudRun, api: CloudRun, status: grpc.StatusCode, code: str
) -> None:
    fake.set(NAME, "eu.example/web:1")
    fake.fails["UpdateService"] = status, "the vendor's words"
    with pytest.raises(ToolError, match="the vendor's words") as refused:
        await deployed(api)
    assert (refused.value.code, fake.changes) == (code, [])


async def test_dry_run_validates_and_shows_the_difference(fake: FakeCloudRun, api: CloudRun) -> None:
    fake.set(NAME, "eu.example/web:1")
    plan = await plan_of(api, WANTED)
    assert (fake.changes, fake.calls[-1]) == ([], ("UpdateService", True))
    assert list(plan.changes) == [
        "  service web",
        "- env MODE: old",
        "+ env MODE: new",
        "- image: eu.example/web:1",
        "+ image: eu.example/web:2",
        "- traffic latest: 100 %",
        f"+ traffic {plan.revision}: 100 %",
    ]


async def test_revision_is_checked_before_it_gets_traffic(fake: FakeCloudRun, api: CloudRun) -> None:
    fake.set(NAME, "eu.example/web:1")
    outside = Outside(None, 503, 200)
    done = await deployed(api, outside=outside)
    assert (done.traffic, traffic(fake)) == (100, {done.revision: 100})
    assert fake.changes == ["UpdateService", "UpdateService"]
    assert len(outside.remembered) == 2
    assert fake.services[NAME].template.containers[0].env[0].value == "new"


@pytest.mark.parametrize("status", [500, None])
async def test_failing_check_leaves_the_traffic_as_it_was(
    fake: FakeCloudRun, api: CloudRun, status: int | None
) -> None:
    fake.set(NAME, "eu.example/web:1")
    with pytest.raises(ToolError, match="It has no traffic"):
        await deployed(api, outside=Outside(status))
    assert (traffic(fake), fake.changes) == ({"web-1": 100}, ["UpdateService"])


async def test_part_of_the_traffic_is_moved_and_the_rest_keeps_its_ratio(fake: FakeCloudRun, api: CloudRun) -> None:
    fake.set(
        NAME, "eu.example/web:1", traffic=[{"revision": "web-1", "percent": 75}, {"revision": "web-0", "percent": 25}]
    )
    done = await deployed(api, Wanted(name=NAME, service="web", image="eu.example/web:2", traffic=20))
    assert traffic(fake) == {"web-1": 60, "web-0": 20, done.revision: 20}


async def test_failed_operation_is_reported(fake: FakeCloudRun, api: CloudRun) -> None:
    fake.set(NAME, "eu.example/web:1")
    plan = await plan_of(api, WANTED)
    fake.operation_error = "the container did not start"
    with pytest.raises(ToolError, match="the container did not start"):
        await deploy(Outside().steps(api), WANTED, plan)
    assert traffic(fake) == {}


async def test_changed_service_is_a_conflict(fake: FakeCloudRun, api: CloudRun) -> None:
    fake.set(NAME, "eu.example/web:1")
    plan = await plan_of(api, WANTED)
    fake.set(NAME, "eu.example/web:1b")
    with pytest.raises(ToolError) as refused:
        await deploy(Outside().steps(api), WANTED, plan)
    assert refused.value.code == "conflict"


async def test_new_service_is_created_with_all_traffic(fake: FakeCloudRun, api: CloudRun) -> None:
    done = await deployed(api, Wanted(name=NAME, service="web", image="eu.example/web:1", traffic=10, public=True))
    assert (done.traffic, traffic(fake), fake.changes[0]) == (100, {done.revision: 100}, "CreateService")
    (binding,) = fake.policies[NAME].bindings
    assert (binding.role, list(binding.members)) == ("roles/run.invoker", ["allUsers"])


async def test_deployment_after_a_crash_waits_for_the_operation_and_deploys_once(
    fake: FakeCloudRun, api: CloudRun
) -> None:
    fake.set(NAME, "eu.example/web:1")
    plan = await plan_of(api, WANTED)
    operation = await api.apply(plan.without_traffic, is_new=False)
    fake.operations[operation.name] = 3
    done = await deploy(Outside().steps(api), WANTED, await plan_of(api, WANTED), operation)
    assert fake.changes == ["UpdateService", "UpdateService"]
    assert traffic(fake) == {done.revision: 100}
    # The same request again changes nothing more.
    again = await deployed(api)
    assert (again.revision, fake.changes) == (done.revision, ["UpdateService", "UpdateService"])
    assert "deployed already" in again.notes[0]


async def test_operation_that_does_not_end_is_timed_out(fake: FakeCloudRun, api: CloudRun) -> None:
    fake.set(NAME, "eu.example/web:1")
    fake.polls = 10**9
    api._max_seconds = 0.05
    with pytest.raises(ToolError) as refused:
        await deployed(api)
    assert refused.value.code == "timed_out"


def test_same_request_has_the_same_revision_and_another_has_another() -> None:
    first = planned(None, WANTED)
    assert planned(None, WANTED).revision == first.revision
    for other in ({"image": "x"}, {"env": {"MODE": "other"}}):
        changed = Wanted(**{"name": NAME, "service": "web", "image": WANTED.image, "env": WANTED.env, **other})
        assert planned(None, changed).revision != first.revision
    long = Wanted(name=NAME, service="s" * 63, image="i")
    assert len(planned(None, long).revision) <= 63


async def test_secrets_are_references_and_are_not_repeated(fake: FakeCloudRun, api: CloudRun) -> None:
    fake.set(NAME, "eu.example/web:1").template.containers[0].env.append({"name": "DB_PASSWORD", "value": "plover"})
    wanted = Wanted(name=NAME, service="web", image="eu.example/web:2", env={"API_TOKEN": "secret:api-token:3"})
    plan = await plan_of(api, wanted)
    assert "+ env API_TOKEN: secret:api-token:3" in plan.changes
    assert "plover" not in str(plan.changes)
    await deployed(api, wanted)
    env = {one.name: one for one in fake.services[NAME].template.containers[0].env}
    assert env["API_TOKEN"].value_source.secret_key_ref.version == "3"
    assert env["DB_PASSWORD"].value == "plover"
