"""The texts of tool executions that can be searched."""

from typing import Final

from storage.search.index import TextIndex

EXECUTIONS: Final = TextIndex(
    table="tool_executions",
    scope="owner",
    texts=("tool", "call_id", "error", "output"),
    documents=("params", "data"),
    # Its result follows soon, so a running execution is indexed when it ends, once.
    open_statuses=("running",),
)
