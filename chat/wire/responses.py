"""A run as OpenAI's responses: typed items, and events with a sequence number.

A pure function of the run's events from its start, so the same response can be read again, from any event on. A run
that waits for the client has one response for each part. A response ends when the run waits, and the next one
begins with what follows the client's answer.

Sources: https://www.openresponses.org/specification, https://platform.openai.com/docs/api-reference/responses
"""

from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

import msgspec

from chat.engine.events import (
    ApprovalRequired,
    ApprovalResolved,
    ClientToolCall,
    End,
    Error,
    Event,
    Reasoning,
    ToolCalled,
    ToolFailed,
    ToolResult,
    TotalUsage,
    Usage,
)
from chat.engine.transcript import add_usage
from chat.wire import sse
from chat.wire.chat_completions import BUDGET_EXCEEDED, CALL_ID, FINISHED, error_of
from chat.wire.questions import Questions
from chat.wire.response_items import MESSAGE, REASONING, ItemWriter

SERVER: Final = "orchestrator"
"""The `server_label` of the service's own tools, whose calls have the form of calls of an MCP server."""

RESPONSE_ID: Final = "resp_"
APPROVAL_ID: Final = "mcpr_"

_encode = msgspec.json.Encoder().encode


def response_id(run_id: UUID, part: int) -> str:
    """Return the id of a response: that of its run, and the number of the part if it is not the first."""
    return f"{RESPONSE_ID}{run_id.hex}" + (f"_{part}" if part else "")


def approval_id(event: ApprovalRequired) -> str:
    """Return the id of an approval request. It has the hash of the params, to which a decision is bound."""
    return f"{APPROVAL_ID}{UUID(event.execution_id).hex}_{event.params_sha256}"


def created(identifier: UUID) -> int:
    """Return the time at which an identifier (UUIDv7) was made, in whole seconds since 1970."""
    return (identifier.int >> 80) // 1_000


class ResponseStream:
    """Turns the frames of a run, from its first one, into the events of one of its responses.

    `fields` are the fields of the response that do not change, and `clock` returns the time of the run's end in seconds
    since 1970. Events up to the
    sequence number `after` are left out. With `structured`, the text of the answer is sent at its end, because an
    answer that does not match is corrected. `response` is the object so far, and `passed` counts the parts that ended.
    """

    def __init__(
        self,
        run_id: UUID,
        fields: dict[str, Any],
        clock: Callable[[], int],
        *,
        part: int = 0,
        after: int = -1,
        structured: bool = False,
    ) -> None:
        self._clock = clock
        self._part = part
        self._structured = structured
        self._items = ItemWriter(f"{run_id.hex}_{part}", after)
        self._usage = TotalUsage()
        # The execution that the newest event asks about, whose id has the time of the question.
        self._asked = ""
        # The places of the calls without an outcome.
        self._calls: dict[str, int] = {}
        self.passed = 0
        self.questions = Questions()
        self.ended = False
        self.failure: Error | End | None = None
        previous = {"previous_response_id": response_id(run_id, part - 1)} if part else {}
        outcome: dict[str, Any] = {"completed_at": None, "usage": None, "error": None, "incomplete_details": None}
        self.response: dict[str, Any] = {
            "id": response_id(run_id, part),
            "object": "response",
            **fields,
            **previous,
            "status": "in_progress",
            "output": self._items.output,
            **outcome,
        }

    def feed(self, frames: bytes) -> bytes:
        """Return the events of complete frames. Pings stay as they are."""
        if frames == sse.PING:
            return frames
        return b"".join(self._events(frames))

    def paused(self) -> bytes:
        """Return the last events of a response whose run waits for the client."""
        return b"".join(self._finish("completed"))

    def _events(self, frames: bytes) -> Iterator[bytes]:
        for part in sse.stretches(frames):
            if self._asked and not isinstance(part, ClientToolCall):
                # The part ended with the questions before this event.
                self.passed += 1
                if self.passed > self._part:
                    yield from self._finish("completed")
                self._asked = ""
            if self.ended:
                return
            if not isinstance(part, bytes):
                self.questions.note(part)
                self._asked = part.execution_id if isinstance(part, ClientToolCall | ApprovalRequired) else ""
            if self.passed == self._part:
                yield from self._show(part)

    def _show(self, part: bytes | Event) -> Iterator[bytes]:
        if not self._items.has_begun:
            yield self._items.event("created", {"response": self.response})
            yield self._items.event("in_progress", {"response": self.response})
        if not isinstance(part, bytes):
            yield from _EVENTS[type(part)](self, part) if type(part) in _EVENTS else ()
        elif not self._structured:
            yield from self._items.write(MESSAGE, sse.literals(part))

    def _used(self, event: Usage) -> Iterator[bytes]:
        yield from self._items.close()
        self._usage = add_usage(self._usage, event)

    def _called(self, event: ToolCalled | ApprovalResolved) -> Iterator[bytes]:
        # A call that waits becomes a question, and is shown as a call when it has an answer.
        if isinstance(event, ToolCalled):
            yield from () if event.waits_for else self._call(event, None)
        elif (request := self.questions.requests.get(event.execution_id)) is not None:
            yield from self._call(request, approval_id(request))

    def _call(self, event: ToolCalled | ApprovalRequired, request: str | None) -> Iterator[bytes]:
        """Yield the events of a tool of the service that starts."""
        arguments = _encode(event.params).decode()
        item = {"type": "mcp_call", "id": f"mcp_{UUID(event.execution_id).hex}", "approval_request_id": request}
        item |= {"name": event.tool, "server_label": SERVER, "arguments": arguments}
        yield from self._items.add({**item, "status": "in_progress", "output": None, "error": None})
        at = self._calls[event.execution_id] = len(self._items.output) - 1
        place = {"item_id": item["id"], "output_index": at}
        yield self._items.event("mcp_call.in_progress", place)
        yield self._items.event("mcp_call_arguments.delta", {**place, "delta": arguments})
        yield self._items.event("mcp_call_arguments.done", {**place, "arguments": arguments})

    def _outcome(self, event: ToolResult | ToolFailed) -> Iterator[bytes]:
        """Yield the events of the end of a tool. Results of the client's tools are input, and have none."""
        at = self._calls.pop(event.execution_id, None)
        if at is None:
            return
        if isinstance(event, ToolResult):
            data = event.data if isinstance(event.data, str) else _encode(event.data).decode()
            outcome: dict[str, Any] = {"status": "completed", "output": data}
        else:
            error = {"type": "mcp_tool_execution_error", "content": f"{event.code}: {event.error}"}
            outcome = {"status": "failed", "error": error}
        place = {"item_id": self._items.output[at]["id"], "output_index": at}
        yield self._items.event(f"mcp_call.{outcome['status']}", place)
        yield self._items.done(at, **outcome)

    def _request(self, event: ApprovalRequired) -> Iterator[bytes]:
        call = {"name": event.tool, "server_label": SERVER, "arguments": _encode(event.params).decode()}
        yield from self._items.add({"type": "mcp_approval_request", "id": approval_id(event), **call})
        yield self._items.done(len(self._items.output) - 1)

    def _function(self, event: ClientToolCall) -> Iterator[bytes]:
        execution, arguments = UUID(event.execution_id).hex, _encode(event.params).decode()
        item = {"type": "function_call", "id": f"fc_{execution}", "call_id": f"{CALL_ID}{execution}"}
        yield from self._items.add({**item, "name": event.tool, "arguments": "", "status": "in_progress"})
        at = len(self._items.output) - 1
        place = {"item_id": item["id"], "output_index": at}
        yield self._items.event("function_call_arguments.delta", {**place, "delta": arguments})
        yield self._items.event("function_call_arguments.done", {**place, "name": event.tool, "arguments": arguments})
        yield self._items.done(at, arguments=arguments, status="completed")

    def _end(self, event: End) -> Iterator[bytes]:
        if event.output is not msgspec.UNSET:
            yield from self._items.write(MESSAGE, [_encode(_encode(event.output).decode())[1:-1]])
        if event.reason == BUDGET_EXCEEDED:
            yield from self._failed(event)
        elif event.reason == "cancelled":
            yield from self._finish("cancelled")
        elif (finish := FINISHED.get(event.reason)) is None:
            yield from self._finish("completed")
        else:
            reason = "content_filter" if finish == "content_filter" else "max_output_tokens"
            self.response["incomplete_details"] = {"reason": reason}
            yield from self._finish("incomplete")

    def _failed(self, event: Error | End) -> Iterator[bytes]:
        self.failure = event
        failure = error_of(event)
        self.response["error"] = {"code": failure["code"], "message": failure["message"]}
        yield from self._finish("failed")

    def _finish(self, status: str) -> Iterator[bytes]:
        yield from self._items.close("completed" if status == "completed" else "incomplete")
        for at in self._calls.values():
            # The run ended before the tool did.
            yield self._items.done(at, status="incomplete")
        self._calls = {}
        self.ended = True
        self.response |= {"status": status, "usage": _usage(self._usage)}
        if status == "completed":
            self.response["completed_at"] = created(UUID(self._asked)) if self._asked else self._clock()
        # The specification has no event for a response that was cancelled.
        yield self._items.event("incomplete" if status == "cancelled" else status, {"response": self.response})


_EVENTS: Final[dict[type, Callable[[ResponseStream, Any], Iterator[bytes]]]] = {
    Reasoning: lambda stream, event: stream._items.write(REASONING, [_encode(event.text)[1:-1]]),
    Usage: ResponseStream._used,
    ToolCalled: ResponseStream._called,
    ApprovalResolved: ResponseStream._called,
    ToolResult: ResponseStream._outcome,
    ToolFailed: ResponseStream._outcome,
    ApprovalRequired: ResponseStream._request,
    ClientToolCall: ResponseStream._function,
    End: ResponseStream._end,
    Error: ResponseStream._failed,
}


def _usage(usage: TotalUsage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
