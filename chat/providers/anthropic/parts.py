"""The blocks of Anthropic's answers, stored as they came so that thinking is replayed with its signature.

https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking#preserving-thinking-blocks
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from chat.engine.messages import AssistantMessage, Message, ProviderParts
from chat.engine.model_port import CompletionRequest
from chat.providers.anthropic.blocks import SIGNED, Json

PROVIDER: Final = "anthropic"


class Prefix:
    """A digest of the conversation so far: all that a model has read before its answer, whichever form it was sent in.

    Thinking is only valid behind the prefix with which it was written.
    """

    def __init__(self, request: CompletionRequest) -> None:
        start = (request.instructions, [tool.name for tool in request.tools])
        self._hash = hashlib.sha256(msgspec.msgpack.encode(start))

    def add(self, message: Message) -> str:
        """Add a message, and return the digest with it."""
        if isinstance(message, AssistantMessage):
            message = msgspec.structs.replace(message, provider_parts=None)
        self._hash.update(msgspec.msgpack.encode(message))
        return self._hash.hexdigest()


def parts_of(
    request: CompletionRequest, message: AssistantMessage, blocks: Sequence[Json], reasoning: str
) -> ProviderParts | None:
    """Return the parts to store with an answer, or None if its text and its calls are enough."""
    kept = list(blocks)
    # The service rejects a message that ends with thinking.
    while kept and kept[-1]["type"] in SIGNED:
        kept.pop()
    if all(block["type"] in {"text", "tool_use"} for block in kept):
        kept = []
    if not (kept or reasoning):
        return None
    prefix = Prefix(request)
    for earlier in request.messages:
        prefix.add(earlier)
    data = {"digest": prefix.add(message), "blocks": kept}
    return ProviderParts(provider=PROVIDER, model=request.model, data=data, reasoning=reasoning)


def has_own_parts(message: Message, model: str) -> bool:
    """Return whether a message was written by a model of this provider, which may have signed parts of it."""
    parts = message.provider_parts if isinstance(message, AssistantMessage) else None
    return parts is not None and (parts.provider, parts.model) == (PROVIDER, model)
