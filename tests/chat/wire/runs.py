"""Runs as lists of events, for the tests of projections."""

from typing import Final
from uuid import UUID

from chat.engine import events
from chat.engine.events import Event
from chat.wire import sse

RUN: Final = UUID("01a204bc-4e7a-79ec-8c8b-159f994b660d")
SESSION: Final = "01a204bc-4e7a-7b1f-a0d2-5c5f0a4c7e11"
USAGE: Final = events.TotalUsage(input_tokens=14, output_tokens=4)


def execution(number: int) -> str:
    return str(UUID(int=number + 1))


def start() -> Event:
    return events.Start(run_id=str(RUN), session_id=SESSION, provider="scripted", model="scripted-1")


def token(text: str) -> Event:
    return events.Token(token=text)


def used() -> Event:
    return events.Usage(
        input_tokens=7, output_tokens=2, cached_tokens=0, reasoning_tokens=0, cost_usd=None, estimated=False
    )


def called(number: int, tool: str = "fs.list", waits_for: str | None = None) -> Event:
    fields = {"waits_for": waits_for} if waits_for else {}
    return events.ToolCalled(
        tool=tool,
        params={"n": number},
        execution_id=execution(number),
        source="model",
        **fields,
    )


def result(number: int, tool: str = "fs.list") -> Event:
    return events.ToolResult(tool=tool, data={"n": number}, execution_id=execution(number))


def failed(number: int, tool: str = "fs.list") -> Event:
    return events.ToolFailed(tool=tool, error="Not here.", code="not_found", execution_id=execution(number))


def approval(number: int) -> Event:
    return events.ApprovalRequired(
        tool="fs.write",
        params={"n": number},
        execution_id=execution(number),
        params_sha256="a" * 64,
        expires_at="later",
    )


def resolved(number: int) -> Event:
    return events.ApprovalResolved(execution_id=execution(number), decision="approved")


def client_call(number: int) -> Event:
    return events.ClientToolCall(
        tool="weather", params={"n": number}, execution_id=execution(number), call_id="c", expires_at="later"
    )


def end(reason: events.EndReason = "completed") -> Event:
    return events.End(reason=reason, run_id=str(RUN), session_id=SESSION, usage=USAGE)


def frames(*found: Event) -> list[bytes]:
    """Return the frames of a run, numbered from 1."""
    return [sse.frame(number, event) for number, event in enumerate(found, 1)]
