"""The choice of tools for a model's context if there are too many for it: the found ones, then the best matches."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from chat.engine.context.window import Count, tool_tokens
from chat.engine.messages import AssistantMessage, Entry
from tools.base import ToolSpec

ALWAYS: Final = ("tools.search", "output.read")
"""The search itself, and the tool that results refer to."""

WRAPPING_TOKENS: Final = 32
"""Tokens that a service puts around the name, the description and the schema of a tool."""

MAX_RECENT: Final = 8
MAX_BEST: Final = 64
"""Best matches for a message. Fewer are offered, because their descriptions take tokens."""


class ToolSearch(msgspec.Struct, frozen=True, kw_only=True):
    """The names of the `best` matches for a message, best first, and the tokens for all tools in the context."""

    best: tuple[str, ...]
    max_tokens: int


def tools_in_context(
    tools: Sequence[ToolSpec], search: ToolSearch, found: Sequence[str], history: Iterable[Entry], count: Count
) -> tuple[ToolSpec, ...]:
    """Return the tools for the next model call, in the order of `tools`.

    The newest of `found`, the names that the model found so far, is offered whatever its size: else it could never be
    called. Tools of the client are always offered, and not counted.
    """
    by_name = {tool.name: tool for tool in tools if not tool.by_client}
    newest = list(dict.fromkeys(reversed(found)))
    taken, left = set[str](), search.max_tokens
    # The recent ones, because a model often repeats a call; the others in their order, so that no room is left unused.
    for name in dict.fromkeys((*ALWAYS, *newest, *_recent(history), *search.best, *by_name)):
        if name not in by_name:
            continue
        size = tool_tokens(by_name[name], count) + WRAPPING_TOKENS
        if size <= left or name in ALWAYS or name in newest[:1]:
            taken.add(name)
            left -= size
    return tuple(tool for tool in tools if tool.by_client or tool.name in taken)


def _recent(history: Iterable[Entry]) -> list[str]:
    """Return the names of the newest calls, newest first."""
    names = [call.name for entry in history if isinstance(entry, AssistantMessage) for call in entry.tool_calls]
    return list(dict.fromkeys(reversed(names)))[:MAX_RECENT]
