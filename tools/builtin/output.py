"""`output.read`: the whole output of an execution whose result showed only a part of it."""

from typing import Annotated
from uuid import UUID

import msgspec

from tools.base import Execution, Tool, ToolError, tool
from tools.output.store import OutputPage, OutputStore

MAX_BYTES = 24 * 1_024


async def read(
    store: OutputStore,
    execution: Execution,
    /,
    *,
    execution_id: Annotated[UUID, msgspec.Meta(description="The execution, as the shortened result named it.")],
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**53, description="The byte to begin at.")] = 0,
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_BYTES, description="The most bytes to give.")] = MAX_BYTES,
) -> OutputPage:
    """Reads the kept output of an execution, a page at a time: what it printed, or its result as JSON.

    `next_offset` is where the next page begins, and null at the end. Only an output that a result did not show whole is
    kept.
    """
    page = await store.page(execution.owner, execution_id, offset, limit)
    if page is None:
        raise ToolError(f"No output is kept of an execution {execution_id}.", code="not_found")
    return page


def tools(store: OutputStore) -> tuple[Tool, ...]:
    """The tool that reads one store."""
    return (tool("output.read", "read", read, store),)
