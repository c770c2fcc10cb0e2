"""Permission to run a tool: the caller's scopes, and the decision of the policy about a call and each of its files."""

from collections.abc import Callable, Sequence

import msgspec

from tools.base import Effect, Facets, Permits, Source, Tool, ToolError
from tools.execution.taint import Taint
from tools.policy import FILE_TOOLS, PATH, Decision, Policy, PolicyInput, stricter
from tools.tool_search.search_tool import NAME as SEARCH_TOOL


class Permission:
    """The permission of one caller. If nothing is `stored`, no call can wait for an approval."""

    def __init__(self, policy: Policy, granted: Callable[[str], bool], *, stored: bool) -> None:
        self._policy = policy
        self._granted = granted
        self._stored = stored

    def check_granted(self, tools: Sequence[str]) -> None:
        """Check that the caller's key has the scopes of these tools. Raises `ToolError` (`denied`)."""
        # The search shows only tools that are granted, so it needs no scope of its own.
        missing = next((name for name in tools if name != SEARCH_TOOL and not self._granted(name)), None)
        if missing is not None:
            raise ToolError(f"The caller's key does not have the scope {missing}.", code="denied")

    def decide(self, tool: Tool, source: Source, values: msgspec.Struct, taint: Taint, facets: Facets) -> Decision:
        """Return the policy's decision about a call of a run with this taint. Raises `ToolError` (`denied`)."""
        asked = PolicyInput(
            tool=tool.name,
            effect=tool.effect,
            source=source,
            facets=facets,
            implied=tool.implied(values),
            taint=taint.sources,
        )
        decision = self._policy.decide(asked)
        if tool.files and PATH in asked.facets:
            files = {name: FILE_TOOLS[name] for name in tool.files}
            decision = stricter(decision, self._policy.decide_path(files, asked))
        if decision == "allow" and tool.always_asks(values):
            decision = "ask"
        if decision == "deny":
            raise ToolError(
                f"TOOL_POLICY does not let a {source} run {tool.name} with these params{taint.reason}.", code="denied"
            )
        if decision == "ask" and not self._stored:
            raise ToolError(
                f"TOOL_POLICY requires an approval before a {source} runs {tool.name}{taint.reason}, and with "
                "ENABLE_PERSISTENCE=false no call can wait for one.",
                code="denied",
            )
        return decision

    def permits(
        self, tool: Tool, source: Source, values: msgspec.Struct, decision: Decision, taint: Taint
    ) -> Permits | None:
        """Return the test of each file of a call with this decision; None if no rule is about files."""
        names: dict[str, Effect] = {tool.name: tool.effect, **{name: FILE_TOOLS[name] for name in tool.files}}
        if not self._policy.has_paths_for(names):
            return None
        facets, replace = tool.facets(values), msgspec.structs.replace
        asked = PolicyInput(tool=tool.name, effect=tool.effect, source=source, taint=frozenset(taint.sources))
        # An approval of the call includes its files.
        permitted: set[Decision] = {"allow", "ask"} if decision == "ask" else {"allow"}
        return lambda path: (
            self._policy.decide_path(names, replace(asked, facets={**facets, PATH: (path,)})) in permitted
        )
