"""The parts of Gemini's answers, stored verbatim so that they can be replayed to the model that wrote them.

Gemini 3 rejects a function call without its thought signature:
https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

import base64
from typing import Any, Final

import msgspec
from google.genai import types

from chat.engine.messages import AssistantMessage, ProviderParts

PROVIDER: Final = "gemini"

PLAIN_TEXT: Final = {"text"}
"""The keys of a part that only has text."""

Json = dict[str, Any]


class Parts:
    """The parts of one answer so far. Consecutive pieces of text are one part."""

    def __init__(self) -> None:
        self._parts: list[Json] = []

    def add(self, part: types.Part) -> None:
        """Add a part. Raise `UnicodeEncodeError` for half of a surrogate pair."""
        fields = part.model_dump(mode="json", by_alias=True, exclude_none=True)
        if part.thought_signature is not None:
            # The SDK dumps bytes in URL-safe base64; the API uses the standard alphabet.
            fields["thoughtSignature"] = base64.b64encode(part.thought_signature).decode()
        # Fail here, where the error belongs to the answer, and not when the message is stored.
        msgspec.json.encode(fields)
        if self._parts and fields.keys() == PLAIN_TEXT == self._parts[-1].keys():
            self._parts[-1]["text"] += fields["text"]
        elif fields != {"text": ""}:
            self._parts.append(fields)

    def for_model(self, model: str) -> ProviderParts | None:
        """Return the parts to replay to `model`, or None if the message's text is enough."""
        if all(part.keys() == PLAIN_TEXT for part in self._parts):
            return None
        reasoning = "".join(part.get("text", "") for part in self._parts if part.get("thought"))
        return ProviderParts(provider=PROVIDER, model=model, data=self._parts, reasoning=reasoning)


def own_parts(message: AssistantMessage, model: str) -> list[Json] | None:
    """Return the parts of a message if the same model wrote it, or None."""
    stored = message.provider_parts
    if stored is None or (stored.provider, stored.model) != (PROVIDER, model):
        return None
    parts: list[Json] = stored.data
    return parts
