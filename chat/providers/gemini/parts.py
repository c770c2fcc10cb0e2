"""The parts that an answer of Gemini comes in, kept as they came, for the model that wrote them.

Gemini 3 refuses a function call without its thought signature:
https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

import base64
from typing import Any, Final

import msgspec
from google.genai import types

from chat.engine.messages import AssistantMessage, ProviderParts

PROVIDER: Final = "gemini"

PLAIN_TEXT: Final = {"text"}
"""The keys of a part that is nothing but text."""

Json = dict[str, Any]


class Parts:
    """The parts of one answer so far. Text that came in pieces is one part."""

    def __init__(self) -> None:
        self._kept: list[Json] = []

    def keep(self, part: types.Part) -> None:
        """Adds a part. Raises `UnicodeEncodeError` for half of a surrogate pair, which nobody could store."""
        kept = part.model_dump(mode="json", by_alias=True, exclude_none=True)
        if part.thought_signature is not None:
            kept["thoughtSignature"] = base64.b64encode(part.thought_signature).decode()
        msgspec.json.encode(kept)
        if self._kept and kept.keys() == PLAIN_TEXT == self._kept[-1].keys():
            self._kept[-1]["text"] += kept["text"]
        elif kept != {"text": ""}:
            self._kept.append(kept)

    def for_model(self, model: str) -> ProviderParts | None:
        """What `model` needs back; None where the message's text is all of it."""
        if all(part.keys() == PLAIN_TEXT for part in self._kept):
            return None
        return ProviderParts(provider=PROVIDER, model=model, data=self._kept)


def own_parts(message: AssistantMessage, model: str) -> list[Json] | None:
    """The parts that this very model wrote the message in; None where another did, or it kept none."""
    kept = message.provider_parts
    if kept is None or (kept.provider, kept.model) != (PROVIDER, model):
        return None
    parts: list[Json] = kept.data
    return parts
