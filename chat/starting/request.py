"""What a caller wants of a run, as a value."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from access.caller import Caller
from chat.engine.messages import Image, UserMessage
from chat.models import Run
from chat.runs.start.idempotency import Key
from tools.base import ToolRequest


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`docs/protocol.md`, `POST /chat/stream`, validated. `key` is the caller's `Idempotency-Key`."""

    caller: Caller
    message: str
    session_id: UUID | None
    provider: str | None
    model: str | None
    tool_calls: tuple[ToolRequest, ...]
    images: tuple[Image, ...]
    instructions: str | None
    tools: tuple[str, ...]
    max_output_tokens: int | None
    temperature: float | None
    on_disconnect: Literal["cancel", "continue"]
    user: str
    metadata: dict[str, Any]
    key: Key | None = None

    @property
    def owner(self) -> str:
        return self.caller.owner

    @property
    def asks_model(self) -> bool:
        return bool(self.message or self.images)

    @property
    def user_message(self) -> UserMessage | None:
        return UserMessage(text=self.message, images=self.images) if self.asks_model else None

    @property
    def options(self) -> dict[str, Any]:
        """What is kept of it with the run, beyond the message: as much as was said."""
        options: dict[str, Any] = {
            "instructions": self.instructions,
            "tools": list(self.tools) if self.tools != ("*",) else None,
            "max_output_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "on_disconnect": self.on_disconnect,
            "tool_calls": [call.tool for call in self.tool_calls] or None,
        }
        return {name: value for name, value in options.items() if value is not None}


def asked_before(row: Run, caller: Caller) -> RunRequest:
    """What a run was asked for that goes on or is resumed, for its caller as it is by now. What was said is stored."""
    options = row.options
    return RunRequest(
        caller=caller,
        message="",
        session_id=row.session_id,
        provider=row.provider or None,
        model=row.model or None,
        tool_calls=(),
        images=(),
        instructions=options.get("instructions"),
        tools=tuple(options.get("tools", ["*"])),
        max_output_tokens=options.get("max_output_tokens"),
        temperature=options.get("temperature"),
        on_disconnect=options["on_disconnect"],
        user=row.session.user,
        metadata=row.metadata,
    )
