"""A fake of Cloud Run's API over a real gRPC socket: one project, whose operations end after a number of polls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.longrunning import operations_pb2
from google.protobuf import any_pb2

SERVICES = "google.cloud.run.v2.Services"
OPERATIONS = "google.longrunning.Operations"


class FakeCloudRun:
    """The services by name, and the calls as (method, validate_only). `fails` has a status for a method."""

    def __init__(self) -> None:
        self.address = ""
        self.services: dict[str, run_v2.Service] = {}
        self.operations: dict[str, int] = {}
        self.policies: dict[str, policy_pb2.Policy] = {}
        self.calls: list[tuple[str, bool]] = []
        self.fails: dict[str, tuple[grpc.StatusCode, str]] = {}
        self.operation_error = ""
        self.polls = 1
        self.tag_url = "http://127.0.0.1:9/"

    @property
    def changes(self) -> list[str]:
        """The calls that changed something."""
        changing = {"CreateService", "UpdateService", "SetIamPolicy"}
        return [name for name, validate_only in self.calls if name in changing and not validate_only]

    def set(self, name: str, image: str, **fields: Any) -> run_v2.Service:
        """Put a service there, with one revision that serves."""
        container = {"image": image, "env": [{"name": "MODE", "value": "old"}]}
        self._store(
            run_v2.Service(
                name=name,
                template={"revision": f"{name.rpartition('/')[2]}-1", "containers": [container]},
                latest_ready_revision=f"{name}/revisions/{name.rpartition('/')[2]}-1",
                **fields,
            )
        )
        return self.services[name]

    def _store(self, service: run_v2.Service) -> None:
        before = self.services.get(service.name)
        service.etag = f'"{int(before.etag.strip(chr(34))) + 1 if before else 1}"'
        service.traffic_statuses = [
            run_v2.TrafficTargetStatus(revision=one.revision, percent=one.percent, tag=one.tag, uri=self.tag_url)
            for one in service.traffic
            if one.tag
        ]
        service.uri = f"https://{service.name.rpartition('/')[2]}.example"
        self.services[service.name] = service

    async def handle(self, name: str, request: Any, context: Any) -> Any:
        validate_only = bool(getattr(request, "validate_only", False))
        self.calls.append((name, validate_only))
        if name in self.fails:
            await context.abort(*self.fails[name])
        if name == "GetService":
            if request.name not in self.services:
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
            return self.services[request.name]
        if name in {"CreateService", "UpdateService"}:
            return await self._change(name, request, context, validate_only=validate_only)
        if name == "GetOperation":
            left = self.operations[request.name] = self.operations[request.name] - 1
            return self._operation(request.name, done=left <= 0)
        if name == "GetIamPolicy":
            return self.policies.get(request.resource, policy_pb2.Policy())
        self.policies[request.resource] = request.policy
        return request.policy

    async def _change(self, name: str, request: Any, context: Any, *, validate_only: bool) -> Any:
        service = run_v2.Service.deserialize(run_v2.Service.serialize(request.service))
        if name == "CreateService":
            service.name = f"{request.parent}/services/{request.service_id}"
        known = self.services.get(service.name)
        if known and service.etag and service.etag != known.etag:
            await context.abort(grpc.StatusCode.ABORTED, "the etag is not the current one")
        operation = f"{service.name.rpartition('/services/')[0]}/operations/op-{len(self.calls)}"
        self.operations[operation] = self.polls
        if not validate_only and not self.operation_error:
            self._store(service)
        return self._operation(operation, done=validate_only)

    def _operation(self, name: str, *, done: bool) -> operations_pb2.Operation:
        found = operations_pb2.Operation(name=name, done=done)
        if done and self.operation_error:
            found.error.code, found.error.message = 3, self.operation_error
        elif done:
            packed = any_pb2.Any()
            packed.Pack(run_v2.Service.pb(run_v2.Service()))
            found.response.CopyFrom(packed)
        return found


REQUESTS = {
    "GetService": run_v2.GetServiceRequest.deserialize,
    "CreateService": run_v2.CreateServiceRequest.deserialize,
    "UpdateService": run_v2.UpdateServiceRequest.deserialize,
    "GetIamPolicy": iam_policy_pb2.GetIamPolicyRequest.FromString,
    "SetIamPolicy": iam_policy_pb2.SetIamPolicyRequest.FromString,
    "GetOperation": operations_pb2.GetOperationRequest.FromString,
}


def _encoded(message: Any) -> bytes:
    encoded: bytes = (
        message.SerializeToString() if hasattr(message, "SerializeToString") else type(message).serialize(message)
    )
    return encoded


@asynccontextmanager
async def fake_cloud_run() -> AsyncIterator[FakeCloudRun]:
    """Start the fake, and stop it with the test."""
    fake = FakeCloudRun()

    def handler(name: str) -> Any:
        async def act(request: Any, context: Any) -> Any:
            return await fake.handle(name, request, context)

        return grpc.unary_unary_rpc_method_handler(act, REQUESTS[name], _encoded)

    server = grpc.aio.server()
    of_services = {name: handler(name) for name in REQUESTS if name != "GetOperation"}
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(SERVICES, of_services),
            grpc.method_handlers_generic_handler(OPERATIONS, {"GetOperation": handler("GetOperation")}),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    fake.address = f"127.0.0.1:{port}"
    try:
        yield fake
    finally:
        await server.stop(None)
