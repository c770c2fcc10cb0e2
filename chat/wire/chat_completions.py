"""A run as OpenAI's chat completions: streamed chunks, or one completion.

A pure function of the run's events. The service's own tools do not appear.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from chat.engine.events import End, EndReason, Error, Event, TotalUsage
from chat.wire import sse

FinishReason = Literal["stop", "length", "content_filter"]

DONE: Final = b"data: [DONE]\n\n"
TOKEN: Final = b'\ndata: {"type":"token","token":"'
TOKEN_END: Final = b'"}'
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

_encode = msgspec.json.Encoder().encode


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that all chunks of a completion have. `created` is in seconds since 1970."""

    id: str
    created: int
    model: str


class ChunkStream:
    """Turns the frames of a run into chunks. With `include_usage`, the last chunk has the usage.

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
        self.ended = False

    def feed(self, frames: bytes) -> bytes:
        """Return the chunks of complete frames. Pings stay as they are."""
        if frames == sse.PING:
            return frames
        return b"".join(self._chunks(frames))

    def _chunks(self, frames: bytes) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            yield self._chunk({"role": "assistant", "content": ""})
        for frame in frames.split(sse.END_OF_FRAME):
            text = frame.find(TOKEN)
            if text >= 0 and self._structured:
                continue
            if text >= 0:
                yield self._text_start + frame[text + len(TOKEN) : -len(TOKEN_END)] + self._text_end
            elif frame:
                (event,) = sse.events(frame)
                yield from self._others(event)

    def _others(self, event: Event) -> Iterator[bytes]:
        if isinstance(event, Error) or (isinstance(event, End) and event.reason == BUDGET_EXCEEDED):
            self.ended = True
            yield b"data: " + _encode({"error": error_of(event)}) + b"\n\n"
        elif isinstance(event, End):
            self.ended = True
            if event.output is not msgspec.UNSET:
                yield self._chunk({"content": _encode(event.output).decode()})
            yield self._chunk({}, FINISHED.get(event.reason, "stop"))
            if self._include_usage:
                yield b"data: " + _encode({**self._fields, "choices": [], "usage": usage_of(event.usage)}) + b"\n\n"
            yield DONE

    def _chunk(self, delta: dict[str, Any], finish_reason: FinishReason | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        usage = {"usage": None} if self._include_usage else {}
        return b"data: " + _encode({**self._fields, "choices": [choice], **usage}) + b"\n\n"


def completion(head: Head, text: str, end: End) -> dict[str, Any]:
    """Return a run that has ended as one completion."""
    if end.output is not msgspec.UNSET:
        text = _encode(end.output).decode()
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": FINISHED.get(end.reason, "stop"), "logprobs": None}
    fields = {"id": head.id, "object": "chat.completion", "created": head.created, "model": head.model}
    return {**fields, "choices": [choice], "usage": usage_of(end.usage)}


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
