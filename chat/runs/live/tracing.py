"""The trace of a run, made from its own events: the run, each model call and each tool is a span.

Names and attributes follow OpenTelemetry's semantic conventions for generative AI:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/. Content is captured only if that is switched on,
and is masked.
"""

import time
from typing import Any, Final
from uuid import UUID

import msgspec

from chat.engine.events import (
    ApprovalRequired,
    ApprovalResolved,
    Retry,
    Start,
    ToolCalled,
    ToolFailed,
    ToolResult,
    Usage,
)
from chat.engine.loop import Item, MessageAdded
from chat.engine.messages import AssistantMessage, Message, ToolMessage
from chat.engine.retry import ModelCall
from chat.runs.live.outcome import Ending
from telemetry import tracing
from telemetry.span_port import Attributes, Span
from tools import conf
from tools.output.masking import Masker

VENDORS: Final = {"gemini": "gcp.gemini"}
"""The conventions' names of providers, if they differ from ours."""

MAX_MESSAGES: Final = 20
"""The newest messages of a conversation that are captured."""

MAX_CHARS: Final = 4_096
"""Characters of one captured text."""

MAX_NAME_CHARS: Final = 80


class RunTracing:
    """The spans of one run, or of its part between two approvals."""

    def __init__(self, root: Span, masker: Masker, *, captures: bool) -> None:
        self._root = root
        self._masker = masker
        self._captures = captures
        self._call: Span | None = None
        self._answered: int | None = None
        self._tools: dict[str, Span] = {}

    def on_call(self, call: ModelCall) -> None:
        """Begin the span of a model call."""
        self._end_call()
        candidate, request = call.candidate, call.request
        attributes: dict[str, Any] = _operation("chat", candidate.provider.name, candidate.model)
        if request.sampling.max_output_tokens is not None:
            attributes["gen_ai.request.max_tokens"] = request.sampling.max_output_tokens
        if request.sampling.temperature is not None:
            attributes["gen_ai.request.temperature"] = request.sampling.temperature
        if self._captures:
            attributes["gen_ai.input.messages"] = _json([*map(self._message, request.messages[-MAX_MESSAGES:])])
            attributes["gen_ai.system_instructions"] = _json([self._part(request.instructions)])
        self._call = self._root.child(f"chat {candidate.model[:MAX_NAME_CHARS]}", attributes, "client")

    def note(self, item: Item) -> None:
        """Begin, complete or end the span that an item of the turn belongs to."""
        match item:
            case Usage():
                self._answered = time.time_ns()
                if self._call is not None:
                    self._call.set(_tokens(item.input_tokens, item.output_tokens))
                    self._call.set({"gen_ai.usage.cache_read.input_tokens": item.cached_tokens})
                    self._call.set({"gen_ai.usage.reasoning.output_tokens": item.reasoning_tokens})
            case MessageAdded(message=AssistantMessage() as message):
                if self._call is not None and item.finish_reason:
                    self._call.set({"gen_ai.response.finish_reasons": [item.finish_reason]})
                if self._call is not None and self._captures:
                    self._call.set({"gen_ai.output.messages": _json([self._message(message)])})
            case Retry():
                self._end_call(item.code)
            case ToolCalled():
                self._end_call()
                self._tools[item.execution_id] = self._tool(item.tool, item.execution_id, item.params)
            case ApprovalResolved():
                self._tools[item.execution_id] = self._tool("", item.execution_id, None)
            case ApprovalRequired() | ToolResult() | ToolFailed():
                self._end_tool(item)

    def end(self, ending: Ending) -> None:
        """End all spans with the outcome of the run."""
        failed = ending.reason if ending.status in {"failed", "interrupted"} else ""
        self._end_call(failed)
        usage = ending.usage
        self._root.set(_tokens(usage.input_tokens, usage.output_tokens))
        self._root.set({"orchestrator.run.status": ending.status, "orchestrator.run.reason": ending.reason})
        self._end(failed)

    def suspend(self) -> None:
        """End all spans of this part of a run that waits for an approval. The next part joins the same trace."""
        self._end_call()
        self._root.set({"orchestrator.run.status": "waiting"})
        self._end("")

    def _end(self, failed: str) -> None:
        for tool in self._tools.values():
            tool.end(error=failed or "cancelled")
        self._root.end(error=failed)

    def _end_call(self, error: str = "") -> None:
        if self._call is not None:
            # A successful call ended when its usage arrived; this runs later, at the next event.
            self._call.end(error=error, at=None if error else self._answered)
        self._call, self._answered = None, None

    def _tool(self, tool: str, execution_id: str, params: Any) -> Span:
        attributes: dict[str, Any] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.type": "function"}
        attributes["gen_ai.tool.call.id"] = execution_id
        if self._captures and params is not None:
            attributes["gen_ai.tool.call.arguments"] = _json(params)[:MAX_CHARS]
        span = self._root.child("execute_tool", attributes)
        self._name(span, tool)
        return span

    def _name(self, span: Span, tool: str) -> None:
        if tool:
            # A model may write anything as the name of a tool, even a secret.
            masked = self._masker.text(tool)[:MAX_NAME_CHARS]
            span.set({"gen_ai.tool.name": masked})
            span.rename(f"execute_tool {masked}")

    def _end_tool(self, event: ApprovalRequired | ToolResult | ToolFailed) -> None:
        span = self._tools.pop(event.execution_id, None)
        if span is None:
            return
        self._name(span, event.tool)
        if isinstance(event, ApprovalRequired):
            span.set({"orchestrator.approval": "required"})
        if self._captures and isinstance(event, ToolResult):
            span.set({"gen_ai.tool.call.result": _json(event.data)[:MAX_CHARS]})
        span.end(error=event.code if isinstance(event, ToolFailed) else "")

    def _message(self, message: Message) -> dict[str, Any]:
        if isinstance(message, ToolMessage):
            part = {"type": "tool_call_response", "id": message.call_id, "response": self._text(message.content)}
            return {"role": "tool", "parts": [part]}
        parts = [self._part(message.text)]
        if isinstance(message, AssistantMessage):
            parts += [
                {"type": "tool_call", "id": call.call_id, "name": call.name, "arguments": self._text(call.arguments)}
                for call in message.tool_calls
            ]
        return {"role": "assistant" if isinstance(message, AssistantMessage) else "user", "parts": parts}

    def _part(self, text: str) -> dict[str, str]:
        return {"type": "text", "content": self._text(text)}

    def _text(self, text: str) -> str:
        return self._masker.text(text)[:MAX_CHARS]


def trace_run(start: Start, *, resumed: bool) -> RunTracing | None:
    """Begin the trace of a run that starts or resumes now. Return None if no traces are kept."""
    tracer = tracing.tracer()
    if tracer is None:
        return None
    attributes = _operation("invoke_agent", start.provider or "", start.model or "")
    attributes["orchestrator.run.id"] = start.run_id
    if start.session_id:
        attributes["gen_ai.conversation.id"] = start.session_id
    # The trace is the caller's if the request named one. Otherwise its id is the run's, so that the part after an
    # approval joins the same trace in any process.
    parent = {} if resumed else tracing.caller.get()
    root = tracer.begin("invoke_agent", attributes, trace=UUID(start.run_id).int, parent=parent)
    return RunTracing(root, conf.masker(), captures=tracer.captures_content) if root is not None else None


def _operation(operation: str, provider: str, model: str) -> dict[str, Any]:
    attributes = {"gen_ai.operation.name": operation}
    if provider:
        attributes["gen_ai.provider.name"] = VENDORS.get(provider, provider)
        attributes["gen_ai.request.model"] = model
    return attributes


def _tokens(input_tokens: int, output_tokens: int) -> Attributes:
    return {"gen_ai.usage.input_tokens": input_tokens, "gen_ai.usage.output_tokens": output_tokens}


def _json(value: Any) -> str:
    # A tool's params and results are masked before they become events; the texts of messages are masked one by one.
    return msgspec.json.encode(value).decode()
