"""The tools that the model of a run is offered, and their best matches for its message if they are many."""

from collections.abc import Sequence
from typing import Final

from chat.engine.context.tools import MAX_BEST, ToolSearch
from chat.engine.messages import Entry, UserMessage
from chat.starting.request import RunRequest
from tools.execution.context import ToolContext
from tools.execution.offered import OfferedTools, offered_tools
from tools.tool_search import search_tool
from tools.tool_search.index import index_of

MAX_OFFERS: Final = 64
"""The sets of offered tools that are remembered, one for each kind of caller."""


class Offers:
    """Offers the tools of requests. If there are more than `many`, those in the context have at most `max_tokens`."""

    def __init__(self, *, many: int, max_tokens: int) -> None:
        self._many = many
        self._max_tokens = max_tokens
        self._offers: dict[tuple[int, tuple[str, ...], tuple[str, ...]], OfferedTools] = {}

    def of(self, tools: ToolContext, request: RunRequest) -> OfferedTools:
        """Return the tools that a request chooses and its caller may use."""
        # Callers with the same scopes and choice share one value, whose schemas are encoded once for each provider.
        kind = tools.registry.version, request.tools, request.caller.scopes.tools
        if kind not in self._offers:
            if len(self._offers) >= MAX_OFFERS:
                # Callers choose the tools by name, so the number of sets has no natural limit.
                self._offers.clear()
            self._offers[kind] = offered_tools(
                tools.registry.matching(request.tools),
                tools.policy,
                request.caller.scopes.may_use,
                search=tools.registry.get(search_tool.NAME),
                many=self._many,
            )
        return self._offers[kind]

    def search(self, offered: OfferedTools, entries: Sequence[Entry]) -> ToolSearch | None:
        """Return the best matches for the newest message of a user; None if the model is offered all tools."""
        if not offered.too_many:
            return None
        message = next((entry.text for entry in reversed(entries) if isinstance(entry, UserMessage)), "")
        best = index_of(offered.searchable).search(message, MAX_BEST)
        return ToolSearch(best=tuple(spec.name for spec in best), max_tokens=self._max_tokens)
