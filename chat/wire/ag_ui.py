"""A run as events of AG-UI 1.0.

A pure function of the run's events. The last frame of each event has its number as `id`, so that a stream can be
resumed behind it. A run that waits for the client is one run of AG-UI for each part.

Source: https://docs.ag-ui.com/concepts/events
"""

from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

import msgspec

from chat.engine.events import (
    ApprovalRequired,
    BudgetUsed,
    ClientToolCall,
    Compaction,
    End,
    Error,
    Event,
    Reasoning,
    Retry,
    Start,
    ToolCalled,
    ToolFailed,
    ToolOutput,
    ToolResult,
    Usage,
)
from chat.wire import sse
from chat.wire.chat_completions import BUDGET_EXCEEDED, error_of
from chat.wire.questions import Questions
from chat.wire.ui_messages import approval_id

PROTOCOL: Final = "1.0"
TEXT: Final = "TEXT"
REASONING: Final = "REASONING"
DECISION: Final = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["approved"],
}
"""The JSON Schema of the answer to an approval."""

Fields = dict[str, Any]
_encode = msgspec.json.Encoder().encode


class AgUiStream:
    """Turns the frames of a run behind event number `cursor` into events of the run `run` in `thread`.

    Events up to number `after` are left out.
    """

    def __init__(self, run_id: UUID, thread: str, run: str, *, cursor: int = 0, after: int = 0) -> None:
        self._run_id = run_id.hex
        self._ids = {"threadId": thread, "runId": run}
        self._number = cursor
        self._after = after
        self._begun = False
        self._asks = False
        self._open = ""
        self._message = ""
        self._part = cursor
        self._count = 0
        self._delta = b""
        self.questions = Questions()
        self.ended = False

    def feed(self, frames: bytes) -> bytes:
        """Return the events of complete frames. Pings stay as they are."""
        if frames == sse.PING:
            return frames
        return b"".join(self._frames(frames))

    def paused(self) -> bytes:
        """Return the last event of a stream whose run waits for the client."""
        self.ended = True
        if (asked := self.questions.approval) is not None:
            interrupt = {
                "id": approval_id(asked),
                "reason": "tool_call",
                "message": f"{asked.tool} needs an approval.",
                "toolCallId": asked.execution_id,
                "responseSchema": DECISION,
                "expiresAt": asked.expires_at,
                "metadata": {"tool": asked.tool, "params": asked.params},
            }
            outcome: Fields = {"type": "interrupt", "interrupts": [interrupt]}
        else:
            outcome = {"type": "success", "pendingToolCallIds": list(self.questions.calls)}
        return _frame({"type": "RUN_FINISHED", **self._ids, "outcome": outcome})

    def _frames(self, frames: bytes) -> Iterator[bytes]:
        for part in sse.stretches(frames):
            texts = sse.literals(part) if isinstance(part, bytes) else []
            count = len(texts) or 1
            known = min(max(0, self._after - self._number), count)
            self._number += 1
            # Events have no numbers but the last one, which has that of the run's event.
            events = list(self._events(part))
            first, self._number = self._number, self._number + count - 1
            if texts:
                yield from () if known else map(_frame, events)
                numbered = enumerate(texts[known:], first + known)
                yield b"".join([b'id: %d\ndata: %b%b"}\n\n' % (number, self._delta, text) for number, text in numbered])
            elif not known and events:
                yield from map(_frame, events[:-1])
                yield b"id: %d\n%b" % (self._number, _frame(events[-1]))

    def _events(self, part: bytes | Event) -> Iterator[Fields]:
        """Yield the events of AG-UI for an event, or those that begin a text before its first token."""
        if self._asks and not isinstance(part, ClientToolCall) and self._number <= self._after:
            # The next part of the run begins here. Its names do not depend on where a reader began.
            self._part, self._count, self._begun = self._number - 1, 0, False
        if not self._begun:
            self._begun = True
            yield {"type": "RUN_STARTED", **self._ids, "protocolVersion": PROTOCOL}
        self._asks = isinstance(part, ClientToolCall | ApprovalRequired)
        if isinstance(part, bytes):
            yield from self._write(TEXT)
        else:
            self.questions.note(part)
            yield from _EVENTS[type(part)](self, part) if type(part) in _EVENTS else ()

    def _write(self, kind: str) -> Iterator[Fields]:
        """Yield the events that begin a message of a kind, if none is open."""
        if self._open == kind:
            return
        yield from self._close()
        self._count += 1
        self._open, self._message = kind, f"{self._run_id}-{self._part}-{self._count}"
        name = {"messageId": self._message}
        if kind == REASONING:
            yield {"type": "REASONING_START", **name}
            yield {"type": "REASONING_MESSAGE_START", **name, "role": "reasoning"}
        else:
            yield {"type": "TEXT_MESSAGE_START", **name, "role": "assistant"}
        content = "TEXT_MESSAGE_CONTENT" if kind == TEXT else "REASONING_MESSAGE_CONTENT"
        self._delta = _encode({"type": content, **name})[:-1] + b',"delta":"'

    def _close(self) -> Iterator[Fields]:
        kind, self._open = self._open, ""
        if kind == TEXT:
            yield {"type": "TEXT_MESSAGE_END", "messageId": self._message}
        elif kind == REASONING:
            yield {"type": "REASONING_MESSAGE_END", "messageId": self._message}
            yield {"type": "REASONING_END", "messageId": self._message}

    def _thought(self, event: Reasoning) -> Iterator[Fields]:
        yield from self._write(REASONING)
        yield {"type": "REASONING_MESSAGE_CONTENT", "messageId": self._message, "delta": event.text}

    def _called(self, event: ToolCalled | ClientToolCall) -> Iterator[Fields]:
        if isinstance(event, ToolCalled) and event.waits_for == "client":
            # The call follows when all calls of the client are recorded.
            return
        yield from self._close()
        name = {"toolCallId": event.execution_id}
        yield {"type": "TOOL_CALL_START", **name, "toolCallName": event.tool}
        yield {"type": "TOOL_CALL_ARGS", **name, "delta": _encode(event.params).decode()}
        yield {"type": "TOOL_CALL_END", **name}

    def _outcome(self, event: ToolResult | ToolFailed) -> Iterator[Fields]:
        if "." not in event.tool:
            # A tool of the client, which has the result.
            return
        if isinstance(event, ToolFailed):
            content = f"{event.code}: {event.error}"
        else:
            content = event.data if isinstance(event.data, str) else _encode(event.data).decode()
        name = {"messageId": f"result-{event.execution_id}", "toolCallId": event.execution_id}
        yield {"type": "TOOL_CALL_RESULT", **name, "content": content, "role": "tool"}

    def _custom(self, event: Start | ToolOutput | Retry | BudgetUsed | Compaction) -> Iterator[Fields]:
        """Yield what AG-UI has no event for under its own name, so that nothing is lost."""
        fields = msgspec.to_builtins(event)
        yield {"type": "CUSTOM", "name": fields.pop("type"), "value": fields}

    def _end(self, event: End | Error) -> Iterator[Fields]:
        self.ended = True
        yield from self._close()
        if isinstance(event, Error):
            yield {"type": "RUN_ERROR", "message": event.error, "code": event.code}
            return
        used = event.usage
        tokens = {
            "inputTokens": used.input_tokens,
            "outputTokens": used.output_tokens,
            "totalTokens": used.input_tokens + used.output_tokens,
            "reasoningTokens": used.reasoning_tokens,
            "cachedInputTokens": used.cached_tokens,
        }
        usage = [tokens]
        if event.reason == BUDGET_EXCEEDED:
            failure = error_of(event)
            yield {"type": "RUN_ERROR", "message": failure["message"], "code": failure["code"], "usage": usage}
            return
        outcome = {"type": "cancelled" if event.reason == "cancelled" else "success"}
        result = {"reason": event.reason}
        if event.output is not msgspec.UNSET:
            result["output"] = event.output
        yield {"type": "RUN_FINISHED", **self._ids, "outcome": outcome, "result": result, "usage": usage}


def _frame(fields: Fields) -> bytes:
    return b"data: " + _encode(fields) + b"\n\n"


_EVENTS: Final[dict[type, Callable[[AgUiStream, Any], Iterator[Fields]]]] = {
    Start: AgUiStream._custom,
    Reasoning: AgUiStream._thought,
    Usage: lambda stream, _: stream._close(),
    ToolCalled: AgUiStream._called,
    ClientToolCall: AgUiStream._called,
    ToolOutput: AgUiStream._custom,
    ToolResult: AgUiStream._outcome,
    ToolFailed: AgUiStream._outcome,
    Retry: AgUiStream._custom,
    BudgetUsed: AgUiStream._custom,
    Compaction: AgUiStream._custom,
    End: AgUiStream._end,
    Error: AgUiStream._end,
}
