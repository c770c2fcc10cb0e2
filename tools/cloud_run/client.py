"""Cloud Run's API v2, through the vendor's own client (the extra `google`)."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from tools.base import ToolError, ToolErrorCode
from tools.cloud_run.deployment import Operation
from tools.cloud_run.plan import Service

Result = TypeVar("Result")

INSTALL: Final = "google-cloud-run is not installed; run uv sync --extra google --no-dev --inexact"
CALL_SECONDS: Final = 60.0
POLL_SECONDS: Final = 2.0
INVOKER: Final = "roles/run.invoker"
EVERYONE: Final = "allUsers"
MAX_MESSAGE: Final = 500
CODES: Final[dict[int, ToolErrorCode]] = {
    400: "invalid_params",
    401: "denied",
    403: "denied",
    404: "not_found",
    409: "conflict",
    412: "conflict",
    504: "timed_out",
}
FAILED_PRECONDITION: Final = "FAILED_PRECONDITION"


class CloudRun:
    """The services of one project. `transport` makes the vendor's transport; an operation ends within `max_seconds`."""

    def __init__(self, transport: Callable[[], Any], max_seconds: float) -> None:
        self._transport = transport
        self._max_seconds = max_seconds
        self._client: Any = None

    async def service(self, name: str) -> Service | None:
        """Return a service; None if it does not exist. Raises `ToolError`."""
        try:
            found = await self._call(lambda client: client.get_service(name=name, timeout=CALL_SECONDS))
        except ToolError as error:
            if error.code == "not_found":
                return None
            raise
        described: Service = type(found).to_dict(
            found, always_print_fields_with_no_presence=False, use_integers_for_enums=False
        )
        return described

    async def validate(self, service: Service, *, is_new: bool) -> None:
        """Let the vendor check a service, and change nothing. Raises `ToolError`."""
        await self._send(service, is_new=is_new, validate_only=True)

    async def apply(self, service: Service, *, is_new: bool) -> Operation:
        """Begin to create or update a service. Raises `ToolError`."""
        begun = await self._send(service, is_new=is_new, validate_only=False)
        return Operation(name=begun.operation.name)

    async def wait(self, operation: Operation) -> None:
        """Wait for the end of an operation. Raises `ToolError` if it failed, or did not end in time."""
        try:
            async with asyncio.timeout(self._max_seconds):
                while True:
                    found = await self._call(lambda client: client.get_operation({"name": operation.name}))
                    if found.done:
                        break
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise ToolError(
                f"The operation {operation.name} did not end within {self._max_seconds:g} s.", code="timed_out"
            ) from None
        if found.HasField("error"):
            raise ToolError(f"Cloud Run could not do it: {found.error.message[:MAX_MESSAGE]}", code="failed")

    async def make_public(self, name: str) -> None:
        """Let everyone call a service. Raises `ToolError`."""
        policy = await self._call(lambda client: client.get_iam_policy({"resource": name}))
        bindings = [
            binding for binding in policy.bindings if binding.role == INVOKER and not binding.condition.expression
        ]
        if any(EVERYONE in binding.members for binding in bindings):
            return
        policy.bindings.add(role=INVOKER, members=[EVERYONE])
        await self._call(lambda client: client.set_iam_policy({"resource": name, "policy": policy}))

    async def _send(self, service: Service, *, is_new: bool, validate_only: bool) -> Any:
        from google.cloud import run_v2  # noqa: PLC0415 - a heavy optional part

        message = run_v2.Service({name: value for name, value in service.items() if value not in (None, "")})
        if is_new:
            parent, _, service_id = service["name"].rpartition("/services/")
            message.name = ""
            request: Any = run_v2.CreateServiceRequest(
                parent=parent, service=message, service_id=service_id, validate_only=validate_only
            )
            return await self._call(lambda client: client.create_service(request, timeout=CALL_SECONDS))
        request = run_v2.UpdateServiceRequest(service=message, validate_only=validate_only)
        return await self._call(lambda client: client.update_service(request, timeout=CALL_SECONDS))

    async def _call(self, call: Callable[[Any], Awaitable[Result]]) -> Result:
        """Return the answer to a call. Raises `ToolError`."""
        try:
            from google.api_core import exceptions  # noqa: PLC0415 - a heavy optional part
            from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - likewise
            from google.cloud import run_v2  # noqa: PLC0415 - likewise
        except ImportError:
            raise ToolError(f"deploy.cloud_run is off: {INSTALL}.", code="disabled") from None
        try:
            if self._client is None:
                # Credentials may be read from a file or asked from a metadata server, which blocks.
                transport = await asyncio.to_thread(self._transport)
                self._client = run_v2.ServicesAsyncClient(transport=transport)
            return await call(self._client)
        except exceptions.GoogleAPICallError as error:
            code = CODES.get(int(error.code or 0), "failed")
            if error.grpc_status_code is not None and error.grpc_status_code.name in {FAILED_PRECONDITION, "ABORTED"}:
                code = "conflict"
            raise ToolError(f"Cloud Run: {str(error.message)[:MAX_MESSAGE]}", code=code) from None
        except GoogleAuthError as error:
            raise ToolError(f"Google's credentials cannot be used: {str(error)[:MAX_MESSAGE]}", code="denied") from None

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            with suppress(Exception):
                await self._client.transport.close()
