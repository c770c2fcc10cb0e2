"""The registry of this service, from its settings. Adding a tool: its file in `builtin/`, and its line here."""

from functools import cache

from tools import conf
from tools.builtin import fs, patch
from tools.registry import Registry
from tools.workspace import Workspace


@cache
def workspace() -> Workspace:
    """The one workspace of this process; its folder is made where it is missing."""
    base = conf.workspace_base()
    base.mkdir(parents=True, exist_ok=True)
    return Workspace(base, limits=conf.workspace_limits())


@cache
def registry() -> Registry:
    """Every tool that this process offers."""
    return Registry((*fs.tools(workspace()), *patch.tools(workspace())))
