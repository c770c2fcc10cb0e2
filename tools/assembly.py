"""The tools of this process, made from its settings.

To add a tool, write its file in `builtin/` and add its line to `registry`.
"""

import asyncio
from functools import cache

from speech.budgets import CallBudget
from tools import conf, resources, shared_tools
from tools.base import Tool, ToolsInvalid
from tools.builtin import fs, patch, retrieval, speech, terminal
from tools.execution.context import ToolContext
from tools.forges.git_tools import git_tools
from tools.mcp_oauth import flow
from tools.resources import outputs as outputs
from tools.workspace import Workspace, WorkspaceUnavailableError
from tools.workspaces.tools import WorkspaceTools


@cache
def registry() -> WorkspaceTools:
    """Return all tools of this process. The first call takes a moment, because it tests the sandbox."""
    return WorkspaceTools(resources.workspaces(), _tools, shared_tools.shared_tools)


async def renew() -> None:
    """Offer the tools of MCP servers that operators have accepted since, and withdraw those that they replaced.

    Tokens of revoked keys are revoked at their authorization servers.
    """
    if await shared_tools.renew():
        # In a thread, because the schemas of many tools take a while to compile.
        await asyncio.to_thread(registry().renew)
    if named := [pinned.server for pinned in shared_tools.mcp_servers() if pinned.server.oauth]:
        flow.revoke_soon(named)


def _tools(workspace: Workspace) -> tuple[Tool, ...]:
    """Return the tools of one workspace."""
    level, missing = resources.commands_confinement()
    return (
        *fs.tools(workspace),
        *patch.tools(workspace),
        *git_tools(workspace),
        *terminal.tools(
            workspace,
            resources.sandbox(),
            limits=conf.terminal_limits(),
            places=resources.command_places(),
            confinement=_named(level.level) if level else "",
            disabled=_off("ENABLE_TERMINAL", is_on=conf.terminal_enabled()) or missing,
        ),
        *speech.tools(resources.speech(), workspace, CallBudget),
        *retrieval.tools(
            workspace,
            resources.retrieval(),
            disabled=_off("ENABLE_RETRIEVAL", is_on=conf.retrieval_enabled()),
        ),
        *(tool for plugin in conf.plugins() for tool in plugin.tools(workspace)),
    )


def names() -> tuple[str, ...]:
    """Return the names of the tools; none if they cannot be made."""
    # Another check reports that, or the start-up; a check of names need not fail too.
    try:
        return registry().names
    except (OSError, WorkspaceUnavailableError, ToolsInvalid):
        return ()


@cache
def tool_context() -> ToolContext:
    """Return the context that all executors of this process share."""
    return ToolContext(
        registry=registry(),
        policy=conf.policy(),
        masker=conf.masker(),
        outputs=outputs(),
        changes=resources.changes(),
        result_bytes=conf.result_bytes(),
        approval_seconds=conf.approval_seconds(),
        client_seconds=conf.client_seconds(),
    )


def _named(level: str) -> str:
    """Return the level as each execution records it: with the profile, unless that is the default."""
    profile = conf.terminal_limits().profile
    return level if profile == "read" else f"{level}, profile {profile}"


def _off(switch: str, *, is_on: bool) -> str:
    return "" if is_on else f"{switch} is false"
