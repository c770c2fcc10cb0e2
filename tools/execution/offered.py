"""What a model is told of: those of the chosen tools that it may be given."""

from collections.abc import Callable, Collection

import msgspec

from tools.base import Tool, ToolSpec
from tools.policy import Policy


class OfferedTools(msgspec.Struct, frozen=True, kw_only=True):
    """The `chosen` tools by their names, and what is told of those that are on, granted, and not denied."""

    chosen: frozenset[str] = frozenset()
    specs: tuple[ToolSpec, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.specs)


def offered_tools(chosen: Collection[Tool], policy: Policy, granted: Callable[[str], bool]) -> OfferedTools:
    """What is offered of the chosen tools to a model whose caller was `granted` some of them."""
    return OfferedTools(
        chosen=frozenset(tool.name for tool in chosen),
        specs=tuple(tool.spec for tool in chosen if granted(tool.name) and not _is_shut(tool, policy)),
    )


def _is_shut(tool: Tool, policy: Policy) -> bool:
    """Whether it is off, or denied to every model whatever it asks for."""
    return bool(tool.disabled) or policy.decide(tool.name, tool.effect, "model", {}) == "deny"
