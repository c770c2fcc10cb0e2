"""The messages of a conversation: frozen values without ids, times or storage."""

from typing import Any, Final

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


Message = UserMessage | AssistantMessage | ToolMessage

MESSAGE_TYPES: Final = (UserMessage, AssistantMessage, ToolMessage)
