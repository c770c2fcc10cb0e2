"""`tools.search`: find tools among many. A model is offered those that it finds."""

from typing import Annotated, Any, Final

import msgspec

from tools.base import Execution, Tool, ToolError, tool
from tools.tool_search.index import index_of

NAME: Final = "tools.search"
MAX_QUERY: Final = 400
MAX_RESULTS: Final = 20
DEFAULT_RESULTS: Final = 8
MAX_DESCRIPTION: Final = 300
"""Characters of a description in a result. The tool is offered with all of it."""


class FoundTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that was found, and the names of its params."""

    name: str
    description: str
    params: tuple[str, ...]


class FoundTools(msgspec.Struct, frozen=True, kw_only=True):
    """The best matches, best first."""

    tools: tuple[FoundTool, ...]
    count: int
    available: int


async def search(
    execution: Execution,
    /,
    *,
    query: Annotated[
        str, msgspec.Meta(min_length=1, max_length=MAX_QUERY, description="Words for the action and its object.")
    ],
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_RESULTS, description="Maximum number.")] = DEFAULT_RESULTS,
) -> FoundTools:
    """Find more tools, because only some of those that you may call are listed. You can call the found tools next."""
    others = tuple(spec for spec in execution.offered if spec.name != NAME)
    if not others:
        raise ToolError("There are no tools to search here; GET /tools lists all tools.", code="not_found")
    matches = index_of(execution.offered).search(query, limit + 1)
    found = [spec for spec in matches if spec.name != NAME][:limit]
    return FoundTools(
        tools=tuple(
            FoundTool(name=spec.name, description=spec.description[:MAX_DESCRIPTION], params=_params(spec.parameters))
            for spec in found
        ),
        count=len(found),
        available=len(others),
    )


def _params(schema: Any) -> tuple[str, ...]:
    properties = schema.get("properties")
    return tuple(properties) if isinstance(properties, dict) else ()


def tools() -> tuple[Tool, ...]:
    """Return the tool that searches the others."""
    return (tool(NAME, "read", search),)
