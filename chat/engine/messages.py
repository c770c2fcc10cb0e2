"""What is said in a conversation: frozen values without ids, clocks or storage."""

from typing import Any, Final

import msgspec


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A picture beside a user's text: `media_type` such as `image/png`, and the decoded bytes."""

    media_type: str
    data: bytes


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A model's wish to run a tool.

    `name` is the registry's (`fs.read`); `arguments` is the JSON text as the model wrote it, valid or not.
    """

    call_id: str
    name: str
    arguments: str


class ProviderParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider needs back word for word when its own message is replayed to it.

    `data` is JSON of the provider's own shape. It means nothing to another provider or model, which gets the
    message's text and calls instead.
    """

    provider: str
    model: str
    data: Any


class UserMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="role", tag="user"):
    text: str
    images: tuple[Image, ...] = ()


class AssistantMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="role", tag="assistant"):
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    provider_parts: ProviderParts | None = None


class ToolMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="role", tag="tool"):
    """The answer to one `ToolCall` of the assistant's message before it."""

    call_id: str
    name: str
    content: str
    is_error: bool = False


Message = UserMessage | AssistantMessage | ToolMessage

MESSAGE_TYPES: Final = (UserMessage, AssistantMessage, ToolMessage)
