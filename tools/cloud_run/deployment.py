"""A deployment step by step: validate, deploy without traffic, check, and only then move the traffic.

On a failure the traffic stays where it was, or returns there.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from tools.base import ToolError
from tools.cloud_run.plan import Deployment, Service, Wanted, planned

FIRST_SERVER_ERROR: Final = 500
CHECKS: Final = 10
CHECK_SECONDS: Final = 3.0
"""Checks of a new revision, and the seconds between two of them."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A long-running operation of the vendor. It is known by its name, in any process."""

    name: str


class Api(Protocol):
    """The operations of Cloud Run that a deployment needs. All raise `ToolError`."""

    async def service(self, name: str) -> Service | None:
        """Return a service; None if it does not exist."""
        ...

    async def validate(self, service: Service, *, is_new: bool) -> None:
        """Let the vendor check a service, and change nothing."""
        ...

    async def apply(self, service: Service, *, is_new: bool) -> Operation:
        """Begin to create or update a service. Its `etag` must still be the current one."""
        ...

    async def wait(self, operation: Operation) -> None:
        """Wait for the end of an operation. Raises `ToolError` if it failed."""
        ...

    async def make_public(self, name: str) -> None:
        """Let everyone call a service."""
        ...


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a deployment. `traffic` is the share of the new revision in percent."""

    service: str
    revision: str
    url: str | None
    traffic: int
    changes: list[str]
    dry_run: bool
    public: bool
    notes: list[str]


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """The outside of a deployment: the API, progress for the caller, a note in the execution's row, and a check."""

    api: Api
    progress: Callable[[str], Awaitable[None]]
    remember: Callable[[Operation], Awaitable[None]]
    status_of: Callable[[str], Awaitable[int | None]]
    sleep: Callable[[float], Awaitable[None]]


async def plan_of(api: Api, wanted: Wanted) -> Deployment:
    """Return the plan of a deployment, which the vendor has validated. Raises `ToolError`."""
    plan = planned(await api.service(wanted.name), wanted)
    await api.validate(plan.without_traffic, is_new=plan.before is None)
    return plan


async def deploy(steps: Steps, wanted: Wanted, plan: Deployment, unfinished: Operation | None = None) -> Deployed:
    """Deploy a plan. `unfinished` is the operation of an earlier attempt, which is waited for. Raises `ToolError`."""
    notes: list[str] = []
    if unfinished is not None:
        await steps.progress(f"Waiting for {unfinished.name}, which an earlier call began.\n")
        await steps.api.wait(unfinished)
        plan = planned(await steps.api.service(wanted.name), wanted)
    if plan.exists:
        notes.append(f"The revision {plan.revision} was deployed already.")
    else:
        await steps.progress(f"Deploying {plan.revision} without traffic.\n")
        await _apply(steps, plan.without_traffic, is_new=plan.before is None)
    service = await _current(steps.api, wanted)
    statuses = service.get("traffic_statuses") or []
    url = next((one["uri"] for one in statuses if one.get("tag") == plan.tag and one.get("uri")), None)
    if url is not None:
        await _check(steps, url, plan)
    else:
        notes.append("The vendor gave no URL for the new revision, so it was not checked.")
    await steps.progress(f"Moving traffic to {plan.revision}.\n")
    await _move_traffic(steps, service, plan)
    if wanted.public:
        await steps.api.make_public(wanted.name)
    service = await _current(steps.api, wanted)
    return Deployed(
        service=wanted.service,
        revision=plan.revision,
        url=service.get("uri") or None,
        traffic=next((one.get("percent", 0) for one in plan.with_traffic["traffic"] if one.get("tag") == plan.tag), 0),
        changes=list(plan.changes),
        dry_run=False,
        public=wanted.public,
        notes=notes,
    )


async def _apply(steps: Steps, service: Service, *, is_new: bool) -> None:
    operation = await steps.api.apply(service, is_new=is_new)
    # The name is stored before anything is waited for: after a crash, the operation is found by it.
    await steps.remember(operation)
    await steps.api.wait(operation)


async def _current(api: Api, wanted: Wanted) -> Service:
    service = await api.service(wanted.name)
    if service is None:
        raise ToolError(f"The service {wanted.service} was removed meanwhile.", code="conflict")
    return service


async def _check(steps: Steps, url: str, plan: Deployment) -> None:
    """Check that a new revision answers. Raises `ToolError`: then it has no traffic."""
    status: int | None = None
    for number in range(CHECKS):
        if number:
            await steps.sleep(CHECK_SECONDS)
        status = await steps.status_of(url)
        if status is not None and status < FIRST_SERVER_ERROR:
            return
    answered = "did not answer" if status is None else f"answered with {status}"
    raise ToolError(
        f"The revision {plan.revision} {answered} at {url}. It has no traffic; the other revisions serve as before.",
        code="failed",
    )


async def _move_traffic(steps: Steps, service: Service, plan: Deployment) -> None:
    wanted = plan.with_traffic["traffic"]
    if service.get("traffic") == wanted:
        return
    before = service.get("traffic")
    try:
        await _apply(steps, {**plan.with_traffic, "etag": service.get("etag", "")}, is_new=False)
    except ToolError as error:
        current = await steps.api.service(service["name"])
        if current is not None and before and current.get("traffic") != before:
            operation = await steps.api.apply({**plan.without_traffic, "etag": current.get("etag", "")}, is_new=False)
            await steps.api.wait(operation)
        raise ToolError(f"{error} The traffic is as before.", code=error.code) from error
