"""The tools of each workspace."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from spending.accounts import Payer
from tools.base import Tool
from tools.registry import Registry
from tools.workspace import Workspace
from tools.workspaces.scope import ROOT, Workspaces

MAX_KEPT: Final = 64
"""Workspaces whose tools are kept. Each holds handles of its folder, and a watch of its changes."""


class WorkspaceTools(Registry):
    """The tools of the root workspace, and on request those of another. `make` makes the tools of a workspace."""

    def __init__(self, workspaces: Workspaces, make: Callable[[Workspace], tuple[Tool, ...]]) -> None:
        super().__init__(make(workspaces.root))
        self._workspaces = workspaces
        self._make = make
        self._opening = threading.Lock()
        self._kept: OrderedDict[str, tuple[Workspace, Registry]] = OrderedDict()

    def at(self, payer: Payer) -> Registry:
        """Return the tools of the caller's workspace. Raises `ToolError` if it cannot be opened."""
        name = self._workspaces.name(payer.owner, payer.session_id)
        if name == ROOT:
            return self
        workspace = self._workspaces.open(name)
        with self._opening:
            kept, found = self._kept.pop(name, (None, self))
            if kept is not workspace:
                found = Registry(self._make(workspace))
            self._kept[name] = workspace, found
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
            return found
