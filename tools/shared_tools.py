"""The tools that work in no workspace, so that all workspaces share them."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

from django.db import DatabaseError, connection

from tools import conf
from tools.base import Tool
from tools.builtin import output
from tools.cloud_run.deploy_tools import deploy_tools
from tools.http_tools.client import HttpClient
from tools.http_tools.tools import http_tools
from tools.mcp_client import pins
from tools.mcp_client.tool_set import ToolSet
from tools.mcp_client.tools import PinnedServer
from tools.registry import collisions
from tools.resources import outputs
from tools.tool_search import search_tool
from tools.web.web_tools import web_tools


@cache
def shared_tools(own: tuple[str, ...]) -> tuple[Tool, ...]:
    """Return the tools, beside those of a workspace with these names."""
    masker = conf.masker()
    tools = (
        *output.tools(outputs()),
        *deploy_tools(),
        *web_tools(),
        *search_tool.tools(),
        *(
            tool
            for service in conf.http_services()
            for tool in http_tools(service, HttpClient(service), lambda text: bool(masker.secrets(text)))
        ),
        *(tool for server in mcp_servers() for tool in server.tools()),
    )
    same = collisions([*own, *(tool.name for tool in tools)])
    # A check reports those that are left out, and keeps the service from starting.
    return tuple(tool for tool in tools if tool.name not in same)


@cache
def mcp_servers() -> tuple[PinnedServer, ...]:
    """Return the MCP servers whose tools an operator has accepted, as they are when this is first called."""
    servers = conf.mcp_servers() if conf.is_stored() else ()
    accepted = accepted_sets() if servers else {}
    return tuple(PinnedServer(server, accepted[server.name]) for server in servers if server.name in accepted)


def accepted_sets() -> dict[str, ToolSet]:
    """Return the accepted tools of MCP servers; none if the database does not have their table yet."""

    def fetch() -> dict[str, ToolSet]:
        try:
            return pins.accepted()
        except DatabaseError:
            return {}
        finally:
            connection.close()

    # Django allows no query on a thread with an event loop, and the tools may first be needed there.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(fetch).result()
