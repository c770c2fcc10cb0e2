"""A run as chunks of the AI SDK's UI message stream, version 1, for `useChat`.

A pure function of the run's events from any one on. The message of a run has the run's id, so a continued or repeated
stream goes into the same message.

Source: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol
"""

from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

import msgspec

from chat.engine.events import (
    ApprovalRequired,
    ApprovalResolved,
    BudgetUsed,
    ClientToolCall,
    Compaction,
    End,
    Error,
    Reasoning,
    Retry,
    ToolCalled,
    ToolFailed,
    ToolOutput,
    ToolResult,
    Usage,
)
from chat.wire import sse
from chat.wire.chat_completions import BUDGET_EXCEEDED, DONE, FINISHED, error_of
from chat.wire.questions import Questions

HEADER: Final = "x-vercel-ai-ui-message-stream"
VERSION: Final = "v1"
FINISH_REASONS: Final = {"stop": "stop", "length": "length", "content_filter": "content-filter"}
TEXT: Final = "text"
REASONING: Final = "reasoning"
END: Final = b'"}\n\n'

_encode = msgspec.json.Encoder().encode


def approval_id(event: ApprovalRequired) -> str:
    """Return the id of an approval: the execution, and the hash of the params to which a decision is bound."""
    return f"{event.execution_id}:{event.params_sha256}"


class UiMessageStream:
    """Turns the frames of a run behind event number `cursor` into chunks."""

    def __init__(self, run_id: UUID, session_id: str | None, cursor: int = 0) -> None:
        self._message = str(run_id)
        self._metadata = {"runId": str(run_id), "sessionId": session_id}
        self._begun = False
        # A stream that continues after an answer is in the step that asked. A step is one model call and its tools.
        self._in_step = cursor > 0
        self._answered = cursor > 0
        self._open = self._id = ""
        self._name = f"{cursor}"
        self._count = 0
        self._delta = b""
        self._denied: set[str] = set()
        self.questions = Questions()
        self.ended = False

    def feed(self, frames: bytes) -> bytes:
        """Return the chunks of complete frames. Pings stay as they are."""
        if frames == sse.PING:
            return frames
        chunks: list[bytes] = []
        if not self._begun:
            self._begun = True
            chunks.append(_chunk("start", messageId=self._message, messageMetadata=self._metadata))
        for part in sse.stretches(frames):
            if isinstance(part, bytes):
                chunks += self._begin(TEXT)
                chunks.append(self._delta + (END + self._delta).join(sse.literals(part)) + END)
            else:
                self.questions.note(part)
                chunks += _CHUNKS[type(part)](self, part) if type(part) in _CHUNKS else ()
        return b"".join(chunks)

    def paused(self) -> bytes:
        """Return the last chunks of a stream whose run waits for the client."""
        return b"".join(self._finish("tool-calls"))

    def _begin(self, kind: str) -> Iterator[bytes]:
        """Yield the beginning of a text or of reasoning, if none is open."""
        if self._open == kind:
            return
        yield from self._close()
        yield from self._step()
        self._count += 1
        self._open, self._id = kind, f"{kind}-{self._name}-{self._count}"
        yield _chunk(f"{kind}-start", id=self._id)
        self._delta = b"data: " + _encode({"type": f"{kind}-delta", "id": self._id})[:-1] + b',"delta":"'

    def _close(self) -> Iterator[bytes]:
        if self._open:
            yield _chunk(f"{self._open}-end", id=self._id)
            self._open = ""

    def _step(self) -> Iterator[bytes]:
        """Yield the beginning of a step if a model call begins."""
        if self._in_step and self._answered:
            yield _chunk("finish-step")
        if not self._in_step or self._answered:
            yield _chunk("start-step")
        self._in_step, self._answered = True, False

    def _thought(self, event: Reasoning) -> Iterator[bytes]:
        yield from self._begin(REASONING)
        yield _chunk("reasoning-delta", id=self._id, delta=event.text)

    def _used(self, _: Usage) -> Iterator[bytes]:
        yield from self._close()
        if not self._in_step:
            yield from self._step()
        self._answered = True

    def _called(self, event: ToolCalled | ClientToolCall) -> Iterator[bytes]:
        if isinstance(event, ToolCalled) and event.waits_for == "client":
            # The call follows when all calls of the client are recorded.
            return
        yield from self._close()
        if not self._in_step:
            yield from self._step()
        call = {"toolCallId": event.execution_id, "toolName": event.tool, "input": event.params}
        yield _chunk("tool-input-available", **call, **_kind(event.tool))

    def _approval(self, event: ApprovalRequired | ApprovalResolved) -> Iterator[bytes]:
        if isinstance(event, ApprovalRequired):
            yield _chunk("tool-approval-request", approvalId=approval_id(event), toolCallId=event.execution_id)
        elif event.decision != "approved":
            self._denied.add(event.execution_id)

    def _outcome(self, event: ToolResult | ToolFailed) -> Iterator[bytes]:
        name, kind = event.execution_id, _kind(event.tool)
        if isinstance(event, ToolResult):
            yield _chunk("tool-output-available", toolCallId=name, output=event.data, **kind)
        elif name in self._denied:
            yield _chunk("tool-output-denied", toolCallId=name)
        else:
            yield _chunk("tool-output-error", toolCallId=name, errorText=f"{event.code}: {event.error}", **kind)

    def _notice(self, event: ToolOutput | Retry | BudgetUsed | Compaction) -> Iterator[bytes]:
        """Yield what the protocol has no chunk for as data of our own, which is not kept in the message."""
        fields = msgspec.to_builtins(event)
        yield _chunk(f"data-{fields.pop('type').replace('_', '-')}", data=fields, transient=True)

    def _end(self, event: End) -> Iterator[bytes]:
        if event.output is not msgspec.UNSET:
            yield from self._begin(TEXT)
            yield _chunk("text-delta", id=self._id, delta=_encode(event.output).decode())
        if event.reason == BUDGET_EXCEEDED:
            yield from self._failed(event)
            return
        if event.reason == "cancelled":
            yield from self._close()
            yield _chunk("abort", reason="cancelled")
        usage = msgspec.to_builtins(event.usage)
        reason = "other" if event.reason == "cancelled" else FINISH_REASONS[FINISHED.get(event.reason, "stop")]
        yield from self._finish(reason, messageMetadata={"usage": usage, "reason": event.reason})

    def _failed(self, event: Error | End) -> Iterator[bytes]:
        yield from self._close()
        yield _chunk("error", errorText=error_of(event)["message"])
        yield from self._finish("error")

    def _finish(self, reason: str, **fields: Any) -> Iterator[bytes]:
        yield from self._close()
        if self._in_step:
            yield _chunk("finish-step")
        yield _chunk("finish", finishReason=reason, **fields)
        yield DONE
        self.ended = True


def _kind(tool: str) -> dict[str, bool]:
    """Return the fields of a tool of the service; none for a tool of the client, whose names have no dot."""
    return {"providerExecuted": True, "dynamic": True} if "." in tool else {}


def _chunk(type_: str, **fields: Any) -> bytes:
    return b"data: " + _encode({"type": type_, **fields}) + b"\n\n"


_CHUNKS: Final[dict[type, Callable[[UiMessageStream, Any], Iterator[bytes]]]] = {
    Reasoning: UiMessageStream._thought,
    Usage: UiMessageStream._used,
    ToolCalled: UiMessageStream._called,
    ClientToolCall: UiMessageStream._called,
    ApprovalRequired: UiMessageStream._approval,
    ApprovalResolved: UiMessageStream._approval,
    ToolOutput: UiMessageStream._notice,
    ToolResult: UiMessageStream._outcome,
    ToolFailed: UiMessageStream._outcome,
    Retry: UiMessageStream._notice,
    BudgetUsed: UiMessageStream._notice,
    Compaction: UiMessageStream._notice,
    End: UiMessageStream._end,
    Error: UiMessageStream._failed,
}
