"""The most tokens that a service can count for a request: what a budget reserves before the call."""

from typing import Final

import msgspec

from chat.engine.context.window import IMAGE_TOKENS, Count, request_tokens
from chat.engine.messages import Message, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest
from tools.base import ToolSpec

MAX_IMAGE_TOKENS: Final = 16_384
"""Tokens of the largest image, for a model that the table below does not have."""

# Sources: https://platform.openai.com/docs/guides/images-vision#calculating-costs (at most 8 tiles and a base, or 1,536
# patches with a factor), and https://ai.google.dev/gemini-api/docs/image-understanding (258 for each tile; a long strip
# has many).
IMAGE_BOUNDS: Final = (
    ("gpt-4o-mini", 2_833 + 8 * 5_667),
    ("gpt-4.1-mini", 2_489),
    ("gpt-4.1-nano", 3_779),
    ("o4-mini", 2_642),
    ("gpt-4", 85 + 8 * 170),
    ("o1", 75 + 8 * 150),
    ("o3", 75 + 8 * 150),
    ("gemini", 64 * 258),
)
"""Tokens of the largest image, by the beginning of a model's name. The first that matches counts."""

OWN_VOCABULARY: Final = ("gpt-4o", "gpt-4.1", "gpt-5", "gpt-6", "o1", "o3", "o4")
"""Beginnings of the names of models whose vocabulary the local tokenizer has."""


def most_tokens(request: CompletionRequest, count: Count) -> int:
    """Return an upper bound of the tokens of a request, given a count of its text with the local vocabulary."""
    name = request.model.rpartition("/")[2].lower()
    total = request_tokens(request, count)
    images = sum(len(message.images) for message in request.messages if isinstance(message, UserMessage))
    bound = next((tokens for start, tokens in IMAGE_BOUNDS if name.startswith(start)), MAX_IMAGE_TOKENS)
    total += images * max(0, bound - IMAGE_TOKENS)
    if name.startswith(OWN_VOCABULARY):
        return total
    # In another vocabulary a character of an unusual script may be as many tokens as it has bytes.
    return total + _unusual_bytes(request)


def _unusual_bytes(request: CompletionRequest) -> int:
    """Count the bytes of all characters other than ASCII, which every vocabulary has."""
    texts = [request.instructions, *map(_text, request.messages), *map(_schema, request.tools)]
    unusual = ["".join(filter(_is_unusual, text)) for text in texts if not text.isascii()]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in unusual)


def _is_unusual(character: str) -> bool:
    return character > "\x7f"


def _text(message: Message) -> str:
    if isinstance(message, ToolMessage):
        return message.content
    if isinstance(message, UserMessage):
        return message.text
    parts = msgspec.json.encode(message.provider_parts).decode() if message.provider_parts else ""
    return message.text + "".join(call.arguments for call in message.tool_calls) + parts


def _schema(tool: ToolSpec) -> str:
    return f"{tool.description}{msgspec.json.encode(tool.parameters).decode()}"
