"""A run as OpenAI's chat completions: streamed chunks, or one completion.

A pure function of the run's events. The service's own tools do not appear; calls of client tools are `tool_calls`.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Iterator
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from chat.engine.events import (
    ClientToolCall,
    End,
    EndReason,
    Error,
    Event,
    Token,
    ToolFailed,
    ToolResult,
    TotalUsage,
    Usage,
)
from chat.engine.transcript import add_usage
from chat.wire import sse
from chat.wire.questions import Questions

FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]

DONE: Final = b"data: [DONE]\n\n"
FINISHED: Final[dict[EndReason, FinishReason]] = {
    "length": "length",
    "max_output": "length",
    "max_steps": "length",
    "max_tool_calls": "length",
    "max_seconds": "length",
    "repeated_call": "length",
    "content_filter": "content_filter",
}
"""The finish reasons of runs that did not end by themselves. All others are `stop`."""

BUDGET_EXCEEDED: Final = "budget_exceeded"

CALL_ID: Final = "call_"
"""The beginning of the id of a call. The execution's id follows, so that the result finds it."""

_encode = msgspec.json.Encoder().encode


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that all chunks of a completion have. `created` is in seconds since 1970."""

    id: str
    created: int
    model: str


class ChunkStream:
    """Turns the frames of a run into chunks. With `include_usage`, the last chunk has the usage of these frames.

    `questions` has the calls of client tools. The stream waits for the decision about an approval.

    The text of a `structured` answer is sent at the end: an answer that does not match is corrected before.
    """

    def __init__(self, head: Head, *, include_usage: bool = False, structured: bool = False) -> None:
        fields = {"id": head.id, "object": "chat.completion.chunk", "created": head.created, "model": head.model}
        self._fields = fields
        self._include_usage = include_usage
        self._structured = structured
        # Most chunks differ in their text only, which is copied from the frame without being decoded.
        start = _encode({**fields, "choices": []})[: -len(b"[]}")]
        self._text_start = b"data: " + start + b'[{"index":0,"delta":{"content":"'
        self._text_end = b'"},"finish_reason":null}]' + (b',"usage":null' if include_usage else b"") + b"}\n\n"
        self._begun = False
        self._usage = TotalUsage()
        self.questions = Questions()
        self.ended = False

    def feed(self, frames: bytes) -> bytes:
        """Return the chunks of complete frames. Pings stay as they are."""
        if frames == sse.PING:
            return frames
        return b"".join(self._chunks(frames))

    def paused(self) -> bytes:
        """Return the last chunks of an answer that ends with calls, whose results begin another request."""
        calls = enumerate(self.questions.calls.values())
        chunks = [self._chunk({"tool_calls": [{"index": at, **_call(one)}]}) for at, one in calls]
        return b"".join([*chunks, *self._end("tool_calls")])

    def _chunks(self, frames: bytes) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            yield self._chunk({"role": "assistant", "content": ""})
        for part in sse.stretches(frames):
            if not isinstance(part, bytes):
                yield from self._others(part)
            elif not self._structured:
                between = self._text_end + self._text_start
                yield self._text_start + between.join(sse.literals(part)) + self._text_end

    def _others(self, event: Event) -> Iterator[bytes]:
        if isinstance(event, Usage):
            self._usage = add_usage(self._usage, event)
        elif isinstance(event, ClientToolCall | ToolResult | ToolFailed):
            self.questions.note(event)
        elif isinstance(event, Error) or (isinstance(event, End) and event.reason == BUDGET_EXCEEDED):
            self.ended = True
            yield b"data: " + _encode({"error": error_of(event)}) + b"\n\n"
        elif isinstance(event, End):
            self.ended = True
            if event.output is not msgspec.UNSET:
                yield self._chunk({"content": _encode(event.output).decode()})
            yield from self._end(FINISHED.get(event.reason, "stop"))

    def _end(self, finish_reason: FinishReason) -> Iterator[bytes]:
        yield self._chunk({}, finish_reason)
        if self._include_usage:
            yield b"data: " + _encode({**self._fields, "choices": [], "usage": usage_of(self._usage)}) + b"\n\n"
        yield DONE

    def _chunk(self, delta: dict[str, Any], finish_reason: FinishReason | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        usage = {"usage": None} if self._include_usage else {}
        return b"data: " + _encode({**self._fields, "choices": [choice], **usage}) + b"\n\n"


class Completion:
    """Gathers the events of a run into one completion."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._tokens: list[str] = []
        self._usage = TotalUsage()
        self.questions = Questions()

    def note(self, event: Event) -> None:
        """Take the next event of the run."""
        if isinstance(event, Token):
            self._tokens.append(event.token)
        elif isinstance(event, Usage):
            self._usage = add_usage(self._usage, event)
        else:
            self.questions.note(event)

    def paused(self) -> dict[str, Any]:
        """Return the completion of an answer that ends with calls, whose results begin another request."""
        calls = [_call(one) for one in self.questions.calls.values()]
        return self._whole({"content": "".join(self._tokens) or None, "tool_calls": calls}, "tool_calls")

    def ended(self, end: End) -> dict[str, Any]:
        """Return the completion of a run that has ended."""
        structured = end.output is not msgspec.UNSET
        text = _encode(end.output).decode() if structured else "".join(self._tokens)
        return self._whole({"content": text}, FINISHED.get(end.reason, "stop"))

    def _whole(self, message: dict[str, Any], finish_reason: FinishReason) -> dict[str, Any]:
        message = {"role": "assistant", "refusal": None, **message}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}
        head = self._head
        fields = {"id": head.id, "object": "chat.completion", "created": head.created, "model": head.model}
        return {**fields, "choices": [choice], "usage": usage_of(self._usage)}


def _call(called: ClientToolCall) -> dict[str, Any]:
    function = {"name": called.tool, "arguments": _encode(called.params).decode()}
    return {"id": f"{CALL_ID}{UUID(called.execution_id).hex}", "type": "function", "function": function}


def usage_of(usage: TotalUsage) -> dict[str, Any]:
    """Return tokens in OpenAI's form."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def error_of(event: Error | End) -> dict[str, Any]:
    """Return the failure of a run in OpenAI's form."""
    if isinstance(event, End):
        message = "Insufficient budget for this run."
        return {"message": message, "type": "insufficient_quota", "param": None, "code": BUDGET_EXCEEDED}
    return {"message": event.error, "type": "server_error", "param": None, "code": event.code}
