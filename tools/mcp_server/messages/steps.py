"""The steps of a call on its way to its result, whatever runs it."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

import msgspec

from tools.mcp_server.messages.questions import Question


class Said(msgspec.Struct, frozen=True):
    """Live output, or a piece of an answer."""

    text: str


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """The call waits for a decision. It continues when it is decided, unless the caller stops it.

    For a call of an agent, `run_id` names its run, `cursor` the number of its last event, and `fields` the
    known values.
    """

    question: Question
    run_id: str = ""
    cursor: int = 0
    fields: Mapping[str, Any] = {}


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the call: a text for a model, and the same as an object if it is one."""

    text: str
    structured: Mapping[str, Any] | None = None
    is_error: bool = False

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a result of `tools/call`."""
        structured = {} if self.structured is None else {"structuredContent": dict(self.structured)}
        return {"content": [{"type": "text", "text": self.text}], **structured, "isError": self.is_error}


Step = Said | Waits | Ended


class ClientCall(Protocol):
    """A call of a client."""

    def steps(self) -> AsyncGenerator[Step]:
        """Yield what happens, and last the result. A cancelled task ends what runs.

        Raises `RpcError`, `ToolError`, `ApiError` and `StorageUnavailable`.
        """
        ...

    async def withdraw(self) -> None:
        """End what waits, because the client cancelled the call. Call this after the steps are closed."""
        ...
