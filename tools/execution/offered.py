"""The tools that are offered to a model."""

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from tools.base import Tool, ToolSpec
from tools.client_tools.declared import ClientTool
from tools.policy import Policy, PolicyInput
from tools.tool_search import search_tool


class OfferedTools(msgspec.Struct, frozen=True, kw_only=True):
    """The names of the `chosen` tools, and the specs of those among them that a model may call.

    The specs of the `client` tools are behind the others, which are `searchable`. If these are too many for a context,
    a model is offered some of them, and `tools.search`.
    """

    chosen: frozenset[str] = frozenset()
    specs: tuple[ToolSpec, ...] = ()
    client: Mapping[str, ClientTool] = {}
    searchable: tuple[ToolSpec, ...] = ()
    too_many: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.specs)

    def with_client_tools(self, tools: Sequence[ClientTool]) -> "OfferedTools":
        """Return these tools and those of the client, which need no scope, in the order of their declaration."""
        if not tools:
            return self
        # The order is the same in each call of a run: services cache what a request begins with.
        return msgspec.structs.replace(
            self,
            specs=(*self.specs, *(tool.spec for tool in tools)),
            client={tool.name: tool for tool in tools},
        )


def offered_tools(
    chosen: Collection[Tool],
    policy: Policy,
    granted: Callable[[str], bool],
    *,
    search: Tool | None = None,
    many: int = 0,
) -> OfferedTools:
    """Return the tools to offer. Those that are off, not `granted`, or always denied to models are left out.

    If there are more than `many`, the tool for their `search` is offered too, whether it was chosen or not.
    """

    def usable(tool: Tool) -> bool:
        # Without facets, only a rule that denies the tool with any params holds.
        asked = PolicyInput(tool=tool.name, effect=tool.effect, source="model")
        return not tool.disabled and policy.decide(asked) != "deny"

    offered = [tool for tool in chosen if tool.name != search_tool.NAME and granted(tool.name) and usable(tool)]
    too_many = search is not None and len(offered) > many
    if search is not None and too_many and usable(search):
        offered.append(search)
    specs = tuple(tool.spec for tool in offered)
    names = {tool.name for tool in chosen} - {search_tool.NAME} | {spec.name for spec in specs}
    return OfferedTools(chosen=frozenset(names), specs=specs, searchable=specs, too_many=too_many)
