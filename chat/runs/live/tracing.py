"""A run as a trace, made of its own events: the run, each call of a model and each tool is a span.

Names and attributes are those of OpenTelemetry's conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-agent-spans/). What was said is in them only where that is
asked for, and masked.
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
from chat.engine.retry import Asked
from chat.runs.live.outcome import Ending
from telemetry import tracing
from telemetry.span_port import Attributes, Span, Tracer
from tools import conf
from tools.output.masking import Masker

VENDORS: Final = {"gemini": "gcp.gemini"}
"""What the conventions call a provider, where that is not our own name of it."""

MAX_MESSAGES: Final = 20
"""Of a conversation, the newest."""

MAX_CHARS: Final = 4_096
"""Of one text."""

MAX_NAME_CHARS: Final = 80


class RunTracing:
    """That of one run, or of its part between two approvals."""

    def __init__(self, root: Span, masker: Masker, *, captures: bool) -> None:
        self._root = root
        self._masker = masker
        self._captures = captures
        self._call: Span | None = None
        self._answered: int | None = None
        self._tools: dict[str, Span] = {}

    def asking(self, asked: Asked) -> None:
        """A model is about to be called."""
        self._end_call()
        candidate, request = asked.candidate, asked.request
        about: dict[str, Any] = _of_model("chat", candidate.provider.name, candidate.model)
        if request.sampling.max_output_tokens is not None:
            about["gen_ai.request.max_tokens"] = request.sampling.max_output_tokens
        if request.sampling.temperature is not None:
            about["gen_ai.request.temperature"] = request.sampling.temperature
        if self._captures:
            about["gen_ai.input.messages"] = _json([*map(self._message, request.messages[-MAX_MESSAGES:])])
            about["gen_ai.system_instructions"] = _json([self._part(request.instructions)])
        self._call = self._root.child(f"chat {candidate.model[:MAX_NAME_CHARS]}", about, "client")

    def note(self, item: Item) -> None:
        """What has happened; most of it says nothing of a span."""
        match item:
            case Usage():
                self._used(item)
            case MessageAdded(message=AssistantMessage()):
                self._said(item)
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
        """The run has ended."""
        failed = ending.reason if ending.status in {"failed", "interrupted"} else ""
        self._end_call(failed)
        usage = ending.usage
        self._root.set(_tokens(usage.input_tokens, usage.output_tokens))
        self._root.set({"orchestrator.run.status": ending.status, "orchestrator.run.reason": ending.reason})
        self._end(failed)

    def park(self) -> None:
        """The run waits for an approval; what comes then is of the same trace."""
        self._end_call()
        self._root.set({"orchestrator.run.status": "waiting"})
        self._end("")

    def _end(self, failed: str) -> None:
        for tool in self._tools.values():
            tool.end(error=failed or "cancelled")
        self._root.end(error=failed)

    def _used(self, usage: Usage) -> None:
        self._answered = time.time_ns()
        if self._call is not None:
            self._call.set(_tokens(usage.input_tokens, usage.output_tokens))
            self._call.set({"gen_ai.usage.cache_read.input_tokens": usage.cached_tokens})
            self._call.set({"gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens})

    def _said(self, said: MessageAdded) -> None:
        if self._call is None:
            return
        if said.finish_reason:
            self._call.set({"gen_ai.response.finish_reasons": [said.finish_reason]})
        if self._captures:
            self._call.set({"gen_ai.output.messages": _json([self._message(said.message)])})

    def _end_call(self, error: str = "") -> None:
        """Its end is where its usage was told: what fails a run afterwards is known only later."""
        if self._call is not None:
            self._call.end(error=error, at=None if error else self._answered)
        self._call, self._answered = None, None

    def _tool(self, tool: str, execution_id: str, params: Any) -> Span:
        about: dict[str, Any] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.type": "function"}
        about["gen_ai.tool.call.id"] = execution_id
        if self._captures and params is not None:
            about["gen_ai.tool.call.arguments"] = _json(params)[:MAX_CHARS]
        span = self._root.child("execute_tool", about)
        self._name(span, tool)
        return span

    def _name(self, span: Span, tool: str) -> None:
        if tool:
            shown = self._masker.text(tool)[:MAX_NAME_CHARS]
            span.set({"gen_ai.tool.name": shown})
            span.rename(f"execute_tool {shown}")

    def _end_tool(self, told: ApprovalRequired | ToolResult | ToolFailed) -> None:
        span = self._tools.pop(told.execution_id, None)
        if span is None:
            return
        self._name(span, told.tool)
        if isinstance(told, ApprovalRequired):
            span.set({"orchestrator.approval": "required"})
        if self._captures and isinstance(told, ToolResult):
            span.set({"gen_ai.tool.call.result": _json(told.data)[:MAX_CHARS]})
        span.end(error=told.code if isinstance(told, ToolFailed) else "")

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


def begin(start: Start, *, goes_on: bool) -> RunTracing | None:
    """The trace of a run that begins, or goes on, now; None where none is kept."""
    tracer = tracing.tracer()
    return _begin(tracer, start, goes_on=goes_on) if tracer is not None else None


def _begin(tracer: Tracer, start: Start, *, goes_on: bool) -> RunTracing | None:
    """The trace is the caller's, or has the run's own id: so what comes after an approval is of the same one."""
    about = _of_model("invoke_agent", start.provider or "", start.model or "")
    about["orchestrator.run.id"] = start.run_id
    if start.session_id:
        about["gen_ai.conversation.id"] = start.session_id
    parent = {} if goes_on else tracing.caller.get()
    root = tracer.begin("invoke_agent", about, trace=UUID(start.run_id).int, parent=parent)
    return RunTracing(root, conf.masker(), captures=tracer.captures_content) if root is not None else None


def _of_model(operation: str, provider: str, model: str) -> dict[str, Any]:
    about = {"gen_ai.operation.name": operation}
    if provider:
        about["gen_ai.provider.name"] = VENDORS.get(provider, provider)
        about["gen_ai.request.model"] = model
    return about


def _tokens(asked: int, answered: int) -> Attributes:
    return {"gen_ai.usage.input_tokens": asked, "gen_ai.usage.output_tokens": answered}


def _json(value: Any) -> str:
    """The texts of messages are masked one by one; a tool's params and results come masked."""
    return msgspec.json.encode(value).decode()
