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


def no_tools(names: tuple[str, ...]) -> tuple[Tool, ...]:
    """Return no tools."""
    return ()


class WorkspaceTools(Registry):
    """The tools of the root workspace, and on request those of another. `make` makes the tools of a workspace.

    `shared` returns the tools that all workspaces share, and that may change: it takes the names of the others.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        make: Callable[[Workspace], tuple[Tool, ...]],
        shared: Callable[[tuple[str, ...]], tuple[Tool, ...]] = no_tools,
    ) -> None:
        self._workspaces = workspaces
        self._make = make
        self._shared = shared
        self._own = make(workspaces.root)
        self._opening = threading.Lock()
        self._kept: OrderedDict[str, tuple[Workspace, tuple[Tool, ...], Registry]] = OrderedDict()
        super().__init__(self._all(self._own))

    def renew(self) -> None:
        """Replace the shared tools by the present ones."""
        with self._opening:
            self.replace(self._all(self._own))
            for _, own, registry in self._kept.values():
                registry.replace(self._all(own))

    def at(self, payer: Payer) -> Registry:
        """Return the tools of the caller's workspace. Raises `ToolError` if it cannot be opened."""
        name = self._workspaces.name(payer.owner, payer.session_id)
        if name == ROOT:
            return self
        workspace = self._workspaces.open(name)
        with self._opening:
            kept, own, found = self._kept.pop(name, (None, (), self))
            if kept is not workspace:
                own = self._make(workspace)
                found = Registry(self._all(own))
            self._kept[name] = workspace, own, found
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
            return found

    def _all(self, own: tuple[Tool, ...]) -> tuple[Tool, ...]:
        return (*own, *self._shared(tuple(tool.name for tool in own)))
