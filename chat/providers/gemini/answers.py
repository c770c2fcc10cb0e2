"""The reader of Gemini's answers, chunk by chunk: https://ai.google.dev/api/generate-content."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec
from google.genai import types

from chat.engine.messages import ToolCall
from chat.engine.model_port import CompletionEvent, CompletionRequest, Finished, Text, Thought, TokensUsed
from chat.engine.text import whole_text
from chat.providers.base import new_call_id, tool_name, wire_names
from chat.providers.gemini.failures import broken
from chat.providers.gemini.parts import Parts

Reason = Literal["stop", "tool_calls", "length", "content_filter"]

FILTERED: Final = (
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
    "ESCALATION",
)
FINISHED: Final[Mapping[str, Reason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(FILTERED, "content_filter"),
}
"""Gemini's finish reasons: https://ai.google.dev/api/generate-content#FinishReason. Any other is a failed answer."""


class Answer:
    """The part of an answer that has arrived."""

    def __init__(self, request: CompletionRequest) -> None:
        self._model = request.model
        self._names = wire_names(request.tools)
        self._call_ids: set[str] = set()
        self._parts = Parts()
        self._reason: str | None = None
        self._prompt_blocked = False

    @property
    def finished(self) -> bool:
        """True if the answer has a good finish reason: nothing that follows can fail it."""
        return self._reason in FINISHED

    def read(self, chunk: types.GenerateContentResponse) -> Iterator[CompletionEvent]:
        """Yield the events of a chunk. Raise one of `UNREADABLE` if the chunk is not as the API describes it."""
        if usage := chunk.usage_metadata:
            # A running total. Gemini counts thoughts beside the candidates, and the engine counts them as output:
            # https://ai.google.dev/api/generate-content#UsageMetadata.
            thoughts = usage.thoughts_token_count or 0
            yield TokensUsed(
                input_tokens=(usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
                output_tokens=(usage.candidates_token_count or 0) + thoughts,
                cached_tokens=usage.cached_content_token_count or 0,
                reasoning_tokens=thoughts,
            )
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
            self._prompt_blocked = True
        for candidate in (chunk.candidates or ())[:1]:
            for part in (candidate.content and candidate.content.parts) or ():
                yield from self._read_part(part)
            if candidate.finish_reason and not self.finished:
                self._reason = candidate.finish_reason.value

    def end(self) -> Finished:
        """Return the last event of the stream. Raise `ProviderError` if the answer is incomplete."""
        if self._prompt_blocked:
            return Finished(reason="content_filter")
        if self._reason is None:
            raise broken("its answer was cut")
        reason = FINISHED.get(self._reason)
        if reason is None:
            raise broken(f"it stopped for {self._reason}")
        if reason == "stop" and self._call_ids:
            reason = "tool_calls"
        return Finished(reason=reason, provider_parts=self._parts.for_model(self._model))

    def _read_part(self, part: types.Part) -> Iterator[Text | Thought | ToolCall]:
        if part.text is not None:
            # JSON can contain NUL and half of a surrogate pair; UTF-8 and the database cannot.
            part.text = whole_text(part.text)
        self._parts.add(part)
        if call := part.function_call:
            # Gemini may leave the id out, or give two calls the same.
            call_id = call.id if call.id and call.id not in self._call_ids else new_call_id()
            self._call_ids.add(call_id)
            arguments = msgspec.json.encode(call.args or {}).decode()
            yield ToolCall(call_id=call_id, name=tool_name(call.name or "", self._names), arguments=arguments)
        elif part.text and part.thought:
            yield Thought(part.text)
        elif part.text:
            yield Text.of(part.text)
