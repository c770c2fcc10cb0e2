"""The tools that work in no workspace, so that all workspaces share them."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

from django.db import DatabaseError, connection

from storage.reader import read
from tools import conf
from tools.base import Tool
from tools.builtin import output
from tools.cloud_run.deploy_tools import deploy_tools
from tools.http_tools.client import HttpClient
from tools.http_tools.tools import http_tools
from tools.mcp_client import entries
from tools.mcp_client.resource_tool import resource_tools
from tools.mcp_client.tool_set import ToolSet
from tools.mcp_client.tools import PinnedServer, installed
from tools.registry import collisions
from tools.resources import outputs
from tools.tool_search import search_tool
from tools.web.web_tools import web_tools


def shared_tools(own: tuple[str, ...]) -> tuple[Tool, ...]:
    """Return the tools, beside those of a workspace with these names."""
    servers = mcp_servers()
    tools = (*builtin_tools(), *(tool for server in servers for tool in server.tools()), *resource_tools(servers))
    same = collisions([*own, *(tool.name for tool in tools)])
    # A check reports those that are left out, and keeps the service from starting.
    return tuple(tool for tool in tools if tool.name not in same)


@cache
def builtin_tools() -> tuple[Tool, ...]:
    """Return the tools that stay the same for as long as the process runs."""
    masker = conf.masker()
    return (
        *output.tools(outputs()),
        *deploy_tools(),
        *web_tools(),
        *search_tool.tools(),
        *(
            tool
            for service in conf.http_services()
            for tool in http_tools(service, HttpClient(service), lambda text: bool(masker.secrets(text)))
        ),
    )


class AcceptedServers:
    """The MCP servers whose tools an operator has accepted, as they were when this was last read."""

    def __init__(self) -> None:
        self._pinned: dict[str, PinnedServer] | None = None
        self._state: tuple[dict[str, str], dict[str, str]] | None = None

    def servers(self) -> tuple[PinnedServer, ...]:
        """Return the servers, in the order of their file. The first call asks the database, and blocks meanwhile."""
        if self._pinned is None:
            # Without a file, servers of the console come with the first `renew`: most processes need no query for them.
            is_named = conf.is_stored() and conf.mcp_servers()
            self._use(*(stored_sets() if is_named else ({}, {})))
        return tuple((self._pinned or {}).values())

    def load(self) -> None:
        """Read the accepted sets now, also those of servers that only the console names. This blocks."""
        if conf.is_stored() and installed():
            self._use(*stored_sets())

    async def renew(self) -> bool:
        """Read the accepted sets again if there are others now, and return whether there are."""
        if not (conf.is_stored() and installed()):
            return False
        state = await read(entries.state)
        if state == self._state:
            return False
        self._use(*await read(entries.stored))
        self._state = state
        return True

    def _use(self, accepted: dict[str, ToolSet], named: dict[str, str]) -> None:
        known, self._pinned = self._pinned or {}, {}
        for server in entries.servers(named):
            if server.name in accepted:
                # The same object for a server, because it counts the calls under way.
                pinned = known.get(server.name)
                if pinned is None or pinned.server != server:
                    pinned = PinnedServer(server)
                pinned.accepted = accepted[server.name]
                self._pinned[server.name] = pinned


_accepted_servers = AcceptedServers()


def mcp_servers() -> tuple[PinnedServer, ...]:
    """Return the MCP servers whose tools are offered."""
    return _accepted_servers.servers()


def load() -> None:
    """Take what operators have accepted, before the tools are first used. This blocks."""
    _accepted_servers.load()


async def renew() -> bool:
    """Take what operators have accepted since. Return whether there is any. Raises `StorageUnavailable`."""
    return await _accepted_servers.renew()


def stored_sets() -> tuple[dict[str, ToolSet], dict[str, str]]:
    """Return the accepted tools of MCP servers, and the entries of the console; none without their tables."""

    def fetch() -> tuple[dict[str, ToolSet], dict[str, str]]:
        try:
            return entries.stored()
        except DatabaseError:
            return {}, {}
        finally:
            connection.close()

    # Django allows no query on a thread with an event loop, and the tools may first be needed there.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(fetch).result()
