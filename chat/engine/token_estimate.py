"""The number of tokens of a text, a message or a request: counted with a tokenizer, or estimated."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec

from chat.engine.messages import Message, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest
from tools.base import ToolSpec

Count = Callable[[str], int]
"""A function that returns the number of tokens of a text, exactly or approximately."""

# English prose and code have about 4 bytes a token: 3 is cautious. Other scripts count by their UTF-8 length.
BYTES_PER_TOKEN: Final = 3

MESSAGE_TOKENS: Final = 4
IMAGE_TOKENS: Final = 1_000


def text_tokens(text: str) -> int:
    """Estimate the tokens of a text without a tokenizer."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


def message_tokens(message: Message, count: Count = text_tokens) -> int:
    """Estimate the tokens of a message, with its role and separators."""
    if isinstance(message, ToolMessage):
        return MESSAGE_TOKENS + count(message.content)
    size = MESSAGE_TOKENS + count(message.text)
    if isinstance(message, UserMessage):
        return size + IMAGE_TOKENS * len(message.images)
    return size + sum(count(call.name + call.arguments) for call in message.tool_calls)


def request_tokens(request: CompletionRequest, count: Count = text_tokens) -> int:
    """Estimate the tokens of a request, including its tools."""
    tools = sum(_tool_tokens(tool, count) for tool in request.tools)
    return count(request.instructions) + tools + sum(message_tokens(message, count) for message in request.messages)


# Every call of a run sends the same tools, and their schemas are long.
@lru_cache(maxsize=1_024)
def _tool_tokens(tool: ToolSpec, count: Count) -> int:
    # As it is sent: JSON, and not Python's own form.
    return count(f"{tool.name}{tool.description}{msgspec.json.encode(tool.parameters).decode()}")
