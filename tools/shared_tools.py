"""The tools that work in no workspace, so that all workspaces share them."""

from functools import cache

from tools.base import Tool
from tools.builtin import output
from tools.cloud_run.deploy_tools import deploy_tools
from tools.resources import outputs
from tools.web.web_tools import web_tools


@cache
def shared_tools() -> tuple[Tool, ...]:
    """Return the tools, made from the settings."""
    return (*output.tools(outputs()), *deploy_tools(), *web_tools())
