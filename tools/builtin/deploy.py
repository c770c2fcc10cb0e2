"""`deploy.cloud_run`: deploy a container image to Google Cloud Run."""

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from tools.base import Execution, Preview, Tool, ToolError, tool
from tools.cloud_run.client import CloudRun
from tools.cloud_run.deployment import Deployed, Operation, Steps, deploy, plan_of
from tools.cloud_run.plan import REFERENCE, Deployment, Wanted, is_secret

CHECK_SECONDS: Final = 10.0
MAX_VARIABLES: Final = 100
MAX_VALUE: Final = 4_096
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

ServiceName = Annotated[
    str, msgspec.Meta(pattern="^[a-z]([a-z0-9-]{0,47}[a-z0-9])?$", description="The service, such as 'web'.")
]
ImageName = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=500, pattern=r"^[^\s]+$", description="The image, with its tag or digest."),
]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The project to deploy to. Images have one of the `images` as their beginning, if there are any."""

    api: CloudRun
    project: str
    region: str
    images: tuple[str, ...] = ()

    def wanted(
        self, service: str, image: str, region: str | None, env: Mapping[str, str], *, traffic: int, public: bool
    ) -> Wanted:
        """Return the request to deploy. Raises `ToolError` (`invalid_params`, `not_allowed`)."""
        if self.images and not image.startswith(self.images):
            raise ToolError(
                f"The image must begin with one of {', '.join(self.images)} (CLOUD_RUN_IMAGES).", code="not_allowed"
            )
        for name, value in env.items():
            if not VARIABLE.fullmatch(name):
                raise ToolError(f"{name[:80]!r} is not the name of a variable.", code="invalid_params")
            if is_secret(name) and not value.startswith(REFERENCE):
                raise ToolError(
                    f"{name} has the name of a secret, and its value would be visible in the record. Store it in "
                    f"Secret Manager, and give {REFERENCE}NAME or {REFERENCE}NAME:VERSION.",
                    code="invalid_params",
                )
        name = f"projects/{self.project}/locations/{region or self.region}/services/{service}"
        return Wanted(name=name, service=service, image=image, env=dict(env), traffic=traffic, public=public)


async def cloud_run(
    target: Target,
    execution: Execution,
    /,
    *,
    service: ServiceName,
    image: ImageName,
    region: Annotated[str, msgspec.Meta(pattern="^[a-z]+-[a-z]+[0-9]+$", description="Such as 'europe-west1'.")]
    | None = None,
    env: Annotated[
        dict[str, Annotated[str, msgspec.Meta(max_length=MAX_VALUE)]],
        msgspec.Meta(
            max_length=MAX_VARIABLES,
            description="Variables to add or change; 'secret:NAME' refers to a secret of the project.",
        ),
    ]
    | None = None,
    traffic: Annotated[int, msgspec.Meta(ge=0, le=100, description="Percent for the new revision.")] = 100,
    public: Annotated[bool, msgspec.Meta(description="Let everyone call the service without authentication.")] = False,
    dry_run: Annotated[bool, msgspec.Meta(description="Only validate, and return the difference.")] = False,
) -> Deployed:
    """Deploy a container image to Google Cloud Run: a new revision without traffic, a check, and then its traffic.

    If the new revision does not answer, the traffic stays with the other revisions. Other settings of the service stay
    as they are. Calling this again with the same params deploys nothing twice.
    """
    import aiohttp  # noqa: PLC0415 - it takes 70 ms to load, and most processes never need it

    wanted = target.wanted(service, image, region, env or {}, traffic=traffic, public=public)
    plan = execution.preview
    if not isinstance(plan, Deployment):
        plan = await plan_of(target.api, wanted)
    if dry_run:
        return Deployed(
            service=service,
            revision=plan.revision,
            url=None,
            traffic=traffic,
            changes=list(plan.changes),
            dry_run=True,
            public=public,
            notes=["Nothing was deployed."],
        )
    memory = execution.memory
    begun = await memory.recall(wanted.name) if memory else None

    async def progress(text: str) -> None:
        await execution.emit("stdout", text)

    async def remember(operation: Operation) -> None:
        if memory:
            await memory.remember(wanted.name, operation.name)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(CHECK_SECONDS)) as session:

        async def status_of(url: str) -> int | None:
            try:
                async with session.get(url, allow_redirects=False) as answer:
                    return answer.status
            except (aiohttp.ClientError, TimeoutError):
                return None

        steps = Steps(api=target.api, progress=progress, remember=remember, status_of=status_of, sleep=asyncio.sleep)
        return await deploy(steps, wanted, plan, Operation(name=begun) if begun else None)


def tools(target: Target, *, disabled: str = "") -> tuple[Tool, ...]:
    """Return the tool that deploys. It is off for the `disabled` reason."""
    return (
        tool(
            "deploy.cloud_run",
            "network",
            cloud_run,
            target,
            disabled=disabled,
            preview=_preview,
            # Public access is decided by a person each time, whatever the policy allows.
            always_asks=lambda params: params.public,
        ),
    )


async def _preview(
    target: Target,
    /,
    *,
    service: str,
    image: str,
    region: str | None,
    env: Mapping[str, str] | None,
    traffic: int,
    public: bool,
    **_: Any,
) -> Preview:
    wanted = target.wanted(service, image, region, env or {}, traffic=traffic, public=public)
    plan = await plan_of(target.api, wanted)
    etag = plan.before.get("etag", "") if plan.before else ""
    shown = {"service": wanted.name, "revision": plan.revision, "changes": list(plan.changes), "etag": etag}
    return Preview(shown=shown, value=plan)
