"""The texts of sessions, messages and runs that can be searched, beside those of executions."""

from typing import Final

from storage.search.index import TextIndex
from tools.execution.searched import EXECUTIONS

SESSIONS: Final = TextIndex(table="sessions", scope="owner", texts=("title", '"user"'), documents=("metadata",))
MESSAGES: Final = TextIndex(table="messages", is_uuid=False, scope="session_id", texts=("tool", "call_id", "content"))
RUNS: Final = TextIndex(
    table="runs",
    scope="session_id",
    texts=("provider", "model", "error"),
    documents=("metadata",),
    # Its model and its error are known at its end. Until then it is found by its messages.
    open_statuses=("running", "waiting"),
)

INDEXES: Final = (SESSIONS, MESSAGES, RUNS, EXECUTIONS)
"""All indexes of the service."""
