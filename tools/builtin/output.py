"""`output.read`: read the full output of an execution whose result showed only a part of it."""

from typing import Annotated
from uuid import UUID

import msgspec

from tools.base import Execution, Tool, ToolError, tool
from tools.output.store import OutputPage, OutputStore

# Below the default of TOOL_RESULT_MAX_BYTES, so that a page is not shortened in its turn.
MAX_BYTES = 24 * 1_024


async def read(
    store: OutputStore,
    execution: Execution,
    /,
    *,
    execution_id: Annotated[UUID, msgspec.Meta(description="ID of the execution, from the shortened result.")],
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**53, description="The first byte to read.")] = 0,
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_BYTES, description="Maximum number of bytes.")] = MAX_BYTES,
) -> OutputPage:
    """Read the stored output of an execution, a page at a time: the text that it printed, or its result as JSON.

    `next_offset` is the first byte of the next page, and null at the end. An output is stored only if the result did
    not show all of it.
    """
    page = await store.page(execution.owner, execution_id, offset, limit)
    if page is None:
        raise ToolError(f"No output of an execution {execution_id} is stored.", code="not_found")
    return page


def tools(store: OutputStore) -> tuple[Tool, ...]:
    """Return the tool that reads a store."""
    return (tool("output.read", "read", read, store),)
