"""System checks of the tools' settings."""

import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Caution

from tools import assembly, conf, shared_tools
from tools.base import ToolsInvalid
from tools.policy import EFFECTS
from tools.registry import collisions
from tools.workspace import WorkspaceUnavailableError


@register
def check_workspace(**_: Any) -> list[CheckMessage]:
    """Check that the workspace contains no file of the service, and does not lie among them."""
    base = conf.workspace_base().resolve()
    hint = "Set it to a folder of the agent's own, such as ./workspaces."
    own = [
        ("the service's own code", Path(settings.BASE_DIR)),
        ("the long outputs of tools (TOOL_OUTPUT_DIR)", conf.output_folder()),
        ("the indexes of workspaces (INDEX_DIR)", conf.index_folder()),
        ("the service's settings", Path(settings.ENV_PATH)),
        ("its secret key (SECRET_KEY_PATH)", Path(settings.SECRET_KEY_PATH)),
    ]
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        own.append(("the service's own database (DATABASE_URL)", Path(settings.DATABASES["default"]["NAME"])))
    found = [(name, path) for name, path in own if path.resolve().is_relative_to(base)]
    # The workspace may lie in the service's folder, but not in a folder of its code or in a hidden one such as `.git`.
    # Python modules in a folder are no sign of code, because a workspace may have some too.
    for folder in Path(settings.BASE_DIR).resolve().glob("*"):
        is_code = folder.is_dir() and (folder.name.startswith(".") or folder.name in settings.CODE_FOLDERS)
        if is_code and base.is_relative_to(folder):
            found.append(("the service's own code", folder))
    return [Error(f"ALLOW_FS_BASE={base} holds {name}: {path}.", hint=hint, id="tools.E001") for name, path in found]


@register
def check_encoding(**_: Any) -> list[CheckMessage]:
    """Check that names on the disk are read as UTF-8. The command line sees to it, but another server may not."""
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return []
    problem = f"The locale makes Python read file names as {encoding}."
    return [Error(problem, hint="Set PYTHONUTF8=1 or a UTF-8 locale, such as LC_ALL=C.UTF-8.", id="tools.E002")]


@register
def check_tools(**_: Any) -> list[CheckMessage]:
    """Check that the tools can be made, each under a name of its own."""
    try:
        names = assembly.registry().names
    except (OSError, WorkspaceUnavailableError):
        # The service reports at its start-up that the workspace cannot be opened.
        return []
    except ToolsInvalid as error:
        hint = "Correct the plug-in, or take its package out of PLUGINS."
        return [Error(f"{str(error)[:1].upper()}{str(error)[1:]}", hint=hint, id="tools.E005")]
    hint = "Rename one of them, or take its package out of PLUGINS."
    return [
        Error(f"The tools {name} and {other} have the same name for models.", hint=hint, id="tools.E003")
        for name, other in collisions(names).items()
    ]


@register
def check_policy(**_: Any) -> list[CheckMessage]:
    """Check that each rule of the policy names an existing tool, or an effect."""
    # A `deny` rule with a misspelt name would silently never hold.
    names = assembly.names()
    return [
        Caution(
            f"TOOL_POLICY has a rule about {rule.tool!r}, which matches no tool.",
            hint=f"The effects are {', '.join(EFFECTS)}. The tools are {', '.join(names)}.",
            id="tools.W001",
        )
        for rule in conf.policy().rules
        if names and rule.tool not in EFFECTS and not any(fnmatchcase(name, rule.tool) for name in names)
    ]


@register
def check_mcp_servers(**_: Any) -> list[CheckMessage]:
    """Check that each accepted tool of an MCP server can be offered, under a name of its own."""
    if not conf.mcp_servers():
        return []
    if not conf.is_stored():
        hint = "Set ENABLE_PERSISTENCE=true, or MCP_SERVERS_FILE to nothing."
        return [Caution("Without persistence no tools of MCP servers are accepted.", hint=hint, id="tools.W002")]
    with_oauth = [server.name for server in conf.mcp_servers() if server.oauth]
    if with_oauth and not settings.PUBLIC_URL:
        what = f"PUBLIC_URL is not set, which oauth of {', '.join(with_oauth)} in MCP_SERVERS_FILE needs."
        hint = "Set it to the address at which browsers reach the service, such as https://agent.example.org."
        return [Error(what, hint=hint, id="tools.E004")]
    reaching = [server.name for server in conf.mcp_servers() if server.command and server.network]
    found: list[CheckMessage] = []
    if reaching and not settings.API_KEY:
        what = f"Programs of MCP_SERVERS_FILE with network = true can call this service: {', '.join(reaching)}."
        hint = "While no key exists they count as the operator. Create one: bin/orchestrator create_api_key NAME."
        found.append(Caution(what, hint=hint, id="tools.W003"))
    names = assembly.names()
    offered = [tool.name for server in shared_tools.mcp_servers() for tool in server.tools()]
    same = collisions([*names, *(name for name in offered if name not in names)]) if names else {}
    hint = "Rename one of them, or take its server out of MCP_SERVERS_FILE."
    return found + [
        Error(f"The tools {name} and {other} have the same name for models.", hint=hint, id="tools.E003")
        for name, other in same.items()
        if name not in names
    ]
