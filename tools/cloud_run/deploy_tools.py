"""The tool that deploys, made from the settings."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from tools import conf
from tools.base import Tool
from tools.builtin import deploy
from tools.builtin.deploy import Target
from tools.cloud_run.client import INSTALL, CloudRun

DEFAULT_CREDENTIALS: Final = "default"


@cache
def deploy_tools() -> tuple[Tool, ...]:
    """Return the tool that deploys. It works in no workspace, so all workspaces share it."""
    settings = conf.cloud_run()
    required = {"CLOUD_RUN_PROJECT": settings.project, "CLOUD_RUN_REGION": settings.region}
    missing = [name for name, value in required.items() if not value]
    disabled = f"{' and '.join(missing)} must be set" if missing else _not_installed()
    api = CloudRun(_transport(settings.credentials), settings.max_seconds)
    target = Target(api=api, project=settings.project, region=settings.region, images=settings.images)
    return deploy.tools(target, disabled=disabled)


def _not_installed() -> str:
    try:
        return "" if find_spec("google.cloud.run_v2") else INSTALL
    except ModuleNotFoundError:
        return INSTALL


def _transport(credentials: str) -> Callable[[], Any]:
    """Return the function that makes the vendor's transport, with the credentials of a file or of the environment."""

    def make() -> Any:
        from google.cloud.run_v2.services.services.transports import (  # noqa: PLC0415 - a heavy optional part
            ServicesGrpcAsyncIOTransport,
        )

        file = None if credentials == DEFAULT_CREDENTIALS else credentials
        return ServicesGrpcAsyncIOTransport(credentials_file=file)

    return make
