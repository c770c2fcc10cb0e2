"""The specification of a plug-in's tools: its settings, and how to make the tools of a workspace.

PluginBroken         a plug-in's tools cannot be made
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from console.visible_text import visible_text_line
from plugins.setting import Setting, Values
from tools.base import Tool, ToolsInvalid
from tools.policy import EFFECTS, TAINT_SOURCES
from tools.workspace import Workspace

MAX_NAME: Final = 80
MAX_MESSAGE: Final = 300
NAME: Final = re.compile(rf"(?!mcp\.|http\.)(?=.{{1,{MAX_NAME}}}\Z)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
"""The names of tools of plug-ins. Those of MCP servers and of HTTP services begin with a word of their own."""


class PluginBroken(ToolsInvalid):
    """A plug-in's tools cannot be made. The message is a sentence for the operator."""


class ToolsSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The tools of a plug-in, the object of an entry point `orchestrator_service.tools`.

    `make` gets the values of `settings` and a workspace, to which its tools are confined, and is called once for each
    workspace. Each tool has a name with a dot, such as `weather.today`, that no other tool has. One with the effect
    `network` taints the run (as from the web), unless it names another source in `taints`.
    """

    make: Callable[[Values, Workspace], Iterable[Tool]]
    settings: tuple[Setting, ...] = ()


class PluginTools(msgspec.Struct, frozen=True, kw_only=True):
    """The specification of a package's tools, and the values of its settings."""

    package: str
    spec: ToolsSpec
    values: Values

    def tools(self, workspace: Workspace) -> tuple[Tool, ...]:
        """Return the tools of a workspace. Raises `PluginBroken`."""
        try:
            made = tuple(self.spec.make(self.values, workspace))
        # Code from outside may fail in any way, and each is the operator's to know.
        except Exception as error:
            what = visible_text_line(f"{type(error).__name__}: {error}", MAX_MESSAGE)
            raise PluginBroken(f"the tools of the plug-in {self.package} cannot be made ({what}).") from error
        for tool in made:
            if not isinstance(tool, Tool) or not NAME.fullmatch(tool.name):
                what = visible_text_line(str(getattr(tool, "name", type(tool).__name__)), MAX_NAME)
                raise PluginBroken(
                    f"a tool of the plug-in {self.package} must be a Tool with a dot in its name: {what}. A name has "
                    f"at most {MAX_NAME} letters, digits, _ and -, and does not begin with mcp. or http."
                )
            # Structs check no types. An effect that is none, such as "Network", would be asked about by no rule.
            if tool.effect not in EFFECTS or tool.taints not in {None, *TAINT_SOURCES}:
                raise PluginBroken(
                    f"the tool {tool.name} of the plug-in {self.package} must have one of the effects "
                    f"{', '.join(EFFECTS)}, and one of the taints {', '.join(TAINT_SOURCES)}, or none."
                )
        return tuple(
            msgspec.structs.replace(
                tool,
                # Each execution records who confines it. A plug-in is code in this process, so its own word counts.
                confinement=tool.confinement or f"plug-in {self.package}",
                # A tool of the network brings texts from outside, also if its author has not thought of it.
                taints=tool.taints or ("web" if tool.effect == "network" else None),
            )
            for tool in made
        )
