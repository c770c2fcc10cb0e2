"""A caller's request for a run, as a validated value."""

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from access.caller import Caller
from chat.engine.messages import Image, Message, UserMessage
from chat.engine.model_port import SamplingOptions
from chat.engine.output_schema import OutputSchema
from chat.models import Run
from chat.runs.start.idempotency import Key
from tools.base import TaintSource, ToolRequest
from tools.client_tools.declared import ClientTool

# A pattern of the registry that matches every name.
ALL_TOOLS = ("*",)

ATTACHED: Final[Mapping[TaintSource, str]] = {"attachment": "message"}
"""The taint by a picture, which no tool brought."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The validated body of `POST /chat/stream` (`docs/protocol.md`). `key` is the caller's `Idempotency-Key`.

    A request that `compacts` only summarises the older messages of its session.

    `earlier` are messages before the new one, of a client that keeps the conversation itself. They begin a new session.
    A conversation that the client names has `new_session_id` until its session exists, and then `session_id`. Its
    requests have a `key`, so that a repeated one does not make two.

    `echo` has fields of a request in another protocol that its answers repeat. `carried_taint` is that of the
    conversation from which the `earlier` messages come.
    """

    caller: Caller
    message: str = ""
    session_id: UUID | None = None
    new_session_id: UUID | None = None
    provider: str | None = None
    model: str | None = None
    tool_calls: tuple[ToolRequest, ...] = ()
    images: tuple[Image, ...] = ()
    earlier: tuple[Message, ...] = ()
    carried_taint: Mapping[TaintSource, str] = {}
    compacts: bool = False
    instructions: str | None = None
    tools: tuple[str, ...] = ALL_TOOLS
    client_tools: tuple[ClientTool, ...] = ()
    sampling: SamplingOptions = SamplingOptions()
    shows_reasoning: bool = False
    output_schema: OutputSchema | None = None
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    user: str = ""
    metadata: dict[str, Any] = {}
    echo: dict[str, Any] = {}
    key: Key | None = None

    @property
    def owner(self) -> str:
        return self.caller.owner

    @property
    def asks_model(self) -> bool:
        return bool(self.message or self.images or self.earlier)

    @property
    def user_message(self) -> UserMessage | None:
        return UserMessage(text=self.message, images=self.images) if self.message or self.images else None

    @property
    def taint(self) -> dict[TaintSource, str]:
        """The sources of the texts from outside that come with the request, each with the tool that brought them."""
        # A picture can show a text. Its author is rarely the caller.
        messages = (*self.earlier, *((self.user_message,) if self.user_message else ()))
        has_images = any(isinstance(message, UserMessage) and message.images for message in messages)
        return {**self.carried_taint, **(ATTACHED if has_images else {})}

    @property
    def options(self) -> dict[str, Any]:
        """The options stored with the run, except those that the caller left out."""
        options: dict[str, Any] = {
            "instructions": self.instructions,
            "tools": list(self.tools) if self.tools != ALL_TOOLS else None,
            "client_tools": msgspec.to_builtins(self.client_tools) or None,
            "on_disconnect": self.on_disconnect,
            "tool_calls": [call.tool for call in self.tool_calls] or None,
            "output_schema": self.output_schema.fields if self.output_schema else None,
            "reasoning": "show" if self.shows_reasoning else None,
            "compacts": self.compacts or None,
            "echo": self.echo or None,
            **msgspec.to_builtins(self.sampling),
        }
        return {name: value for name, value in options.items() if value is not None}


def request_of(run: Run, caller: Caller) -> RunRequest:
    """Return the request behind a stored run, to resume it. The messages themselves are read from the session."""
    options = run.options
    return RunRequest(
        caller=caller,
        session_id=run.session_id,
        provider=run.provider or None,
        model=run.model or None,
        compacts=options.get("compacts", False),
        instructions=options.get("instructions"),
        tools=tuple(options.get("tools", ALL_TOOLS)),
        client_tools=msgspec.convert(options.get("client_tools", ()), tuple[ClientTool, ...]),
        sampling=msgspec.convert(options, SamplingOptions),
        output_schema=OutputSchema.of(options["output_schema"]) if "output_schema" in options else None,
        # The key may have lost the scope since the run began.
        shows_reasoning=options.get("reasoning") == "show" and caller.scopes.may("reasoning"),
        on_disconnect=options["on_disconnect"],
        user=run.session.user,
        metadata=run.metadata,
        echo=options.get("echo", {}),
    )
