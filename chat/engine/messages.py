"""The messages of a conversation: frozen values without ids, times or storage."""

from typing import Any

import msgspec


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A picture in a user message: a `media_type` such as `image/png`, and the decoded bytes."""

    media_type: str
    data: bytes


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A model's request to run a tool.

    `name` is the registry's (`fs.read`); `arguments` is the JSON text as the model wrote it, valid or not.
    """

    call_id: str
    name: str
    arguments: str


class ProviderParts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The provider's own form of a message, which it needs back verbatim when the message is replayed.

    `data` is JSON of the provider's own shape. Other providers and models receive the message's text and calls.
    `reasoning` is the model's reasoning as text, which is never part of the message's text.
    """

    provider: str
    model: str
    data: Any
    reasoning: str = ""


class UserMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="role", tag="user"):
    text: str
    images: tuple[Image, ...] = ()


class AssistantMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="role", tag="assistant"):
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    provider_parts: ProviderParts | None = None

    @property
    def reasoning(self) -> str:
        return self.provider_parts.reasoning if self.provider_parts else ""


class ToolMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="role", tag="tool"):
    """The result of one `ToolCall` of the assistant's message before it. `execution_id` is empty if it is not known."""

    call_id: str
    name: str
    content: str
    is_error: bool = False
    execution_id: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag_field="role", tag="summary"):
    """A model's record of earlier messages, which it stands for from now on.

    It stands for the newest `rows` messages of the session, except those at the places `kept`. Places are counted back
    from the newest message, which is 0.
    """

    text: str
    rows: int = 0
    kept: frozenset[int] = frozenset()


Message = UserMessage | AssistantMessage | ToolMessage
Entry = Message | Summary
"""An entry of a conversation. Providers receive messages only."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A stored conversation: its entries, and the place of each among the `rows` messages that were read.

    The oldest message has place 0. Messages that a summary stands for have a place, but are not among the entries.
    """

    entries: tuple[Entry, ...]
    places: tuple[int, ...]
    rows: int

    @classmethod
    def of(cls, *entries: Entry) -> "History":
        """Return the history of messages none of which is replaced."""
        return cls(entries=entries, places=tuple(range(len(entries))), rows=len(entries))
