"""Reading an answer of Gemini, chunk by chunk: https://ai.google.dev/api/generate-content."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec
from google.genai import types

from chat.engine.messages import AssistantMessage, ToolCall
from chat.engine.model_port import CompletionEvent, CompletionRequest, Finished, Text, TokensUsed
from chat.providers.base import wire_names
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
"""https://ai.google.dev/api/generate-content#FinishReason. A reason that is not here is a failed answer."""


class Answer:
    """What has come of the answer to one request."""

    def __init__(self, request: CompletionRequest) -> None:
        self._model = request.model
        self._names = wire_names(request.tools)
        self._calls_before = sum(len(m.tool_calls) for m in request.messages if isinstance(m, AssistantMessage))
        self._calls = 0
        self._parts = Parts()
        self._reason: str | None = None
        self._prompt_blocked = False

    def read(self, chunk: types.GenerateContentResponse) -> Iterator[CompletionEvent]:
        """What the chunk adds. Raises one of `UNREADABLE` where it is not what the API describes."""
        if chunk.usage_metadata:
            yield _tokens_used(chunk.usage_metadata)
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
            self._prompt_blocked = True
        for candidate in (chunk.candidates or ())[:1]:
            for part in (candidate.content and candidate.content.parts) or ():
                yield from self._read_part(part)
            if candidate.finish_reason:
                self._reason = candidate.finish_reason.value

    def end(self) -> Finished:
        """What stands at the end of the stream. Raises `ProviderError` where the answer is not whole."""
        if self._prompt_blocked:
            return Finished(reason="content_filter")
        if self._reason is None:
            raise broken("its answer was cut")
        reason = FINISHED.get(self._reason)
        if reason is None:
            raise broken(f"it stopped for {self._reason}")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        return Finished(reason=reason, provider_parts=self._parts.for_model(self._model))

    def _read_part(self, part: types.Part) -> Iterator[Text | ToolCall]:
        if part.text is not None:
            part.text = _without_lone_surrogates(part.text)
        self._parts.keep(part)
        if part.function_call:
            yield self._tool_call(part.function_call)
        elif part.text and not part.thought:
            yield Text((msgspec.json.encode(part.text)[1:-1],))

    def _tool_call(self, call: types.FunctionCall) -> ToolCall:
        """The call; one without an id gets its number in the conversation: `call_0` is the first."""
        call_id = call.id or f"call_{self._calls_before + self._calls}"
        self._calls += 1
        name = call.name or ""
        arguments = msgspec.json.encode(call.args or {}).decode()
        return ToolCall(call_id=call_id, name=self._names.get(name, name), arguments=arguments)


def _without_lone_surrogates(text: str) -> str:
    """JSON can carry half of a pair; UTF-8 and the database cannot."""
    return text.encode("utf-8", "replace").decode()


def _tokens_used(usage: types.GenerateContentResponseUsageMetadata) -> TokensUsed:
    """The running total so far. Gemini counts thoughts beside the candidates.

    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    thoughts = usage.thoughts_token_count or 0
    return TokensUsed(
        input_tokens=usage.prompt_token_count or 0,
        output_tokens=(usage.candidates_token_count or 0) + thoughts,
        cached_tokens=usage.cached_content_token_count or 0,
        reasoning_tokens=thoughts,
    )
