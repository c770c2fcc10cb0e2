"""The tools that are offered to a model."""

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from tools.base import Tool, ToolSpec
from tools.client_tools.declared import ClientTool
from tools.policy import Policy


class OfferedTools(msgspec.Struct, frozen=True, kw_only=True):
    """The names of the `chosen` tools, and the specs of those among them that a model may call.

    The specs of the `client` tools are behind the others.
    """

    chosen: frozenset[str] = frozenset()
    specs: tuple[ToolSpec, ...] = ()
    client: Mapping[str, ClientTool] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.specs)

    def with_client_tools(self, tools: Sequence[ClientTool]) -> "OfferedTools":
        """Return these tools and those of the client, which need no scope, in the order of their declaration."""
        if not tools:
            return self
        # The order is the same in each call of a run: services cache what a request begins with.
        specs = (*self.specs, *(tool.spec for tool in tools))
        return OfferedTools(chosen=self.chosen, specs=specs, client={tool.name: tool for tool in tools})


def offered_tools(chosen: Collection[Tool], policy: Policy, granted: Callable[[str], bool]) -> OfferedTools:
    """Return the tools to offer. Those that are off, not `granted`, or always denied to models are left out."""
    return OfferedTools(
        chosen=frozenset(tool.name for tool in chosen),
        specs=tuple(
            tool.spec
            for tool in chosen
            # Without facets, only a rule that denies the tool with any params holds.
            if granted(tool.name) and not tool.disabled and policy.decide(tool.name, tool.effect, "model", {}) != "deny"
        ),
    )
