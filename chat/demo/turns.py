"""The plan of one run: its messages, calls and cost, and the events that a client would have received."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec

from chat.demo import media
from chat.demo.content import Model, Step, Turn
from chat.demo.plan import PlannedExecution, PlannedMessage, PlannedRun
from chat.engine.events import (
    ApprovalRequired,
    ApprovalResolved,
    Compaction,
    End,
    Error,
    Event,
    Reasoning,
    Retry,
    Start,
    Token,
    ToolCalled,
    ToolFailed,
    ToolOutput,
    ToolResult,
    TotalUsage,
    Usage,
)
from storage.ids import RANDOM, VARIANT, VERSION
from tools.execution.request import params_sha256

TOKENS_PER_WORD: Final = 1.4
OVERHEAD: Final = 1_150
"""Tokens of the system prompt and the tools."""

APPROVAL_SECONDS: Final = 12 * 3_600
MAX_WAIT_SECONDS: Final = 1_500
"""Seconds that a decided approval waited at most."""

PIECE: Final = re.compile(r"\s*\S+|\s+$")
WEEK_OF_BOOKINGS: Final = (0.55, 0.62, 0.7, 0.81, 1.0, 0.8, 0.64)


def id_at(moment: datetime, chance: Random) -> UUID:
    """Return a UUIDv7 of a moment."""
    milliseconds = int(moment.timestamp() * 1_000)
    return UUID(int=milliseconds << 80 | VERSION | VARIANT | (chance.getrandbits(76) & RANDOM))


class TurnPlanner:
    """Plans the runs of one session, each with the conversation before it in its input."""

    def __init__(self, session_id: UUID, model: Model, chance: Random) -> None:
        self.session_id = session_id
        self.provider, _, self.model = model.name.partition("/")
        self.prices = model
        self.chance = chance
        self.context = OVERHEAD
        self.count = 0

    def run(self, turn: Turn, start: datetime) -> PlannedRun:
        """Return the plan of a turn that begins at `start`."""
        return _Run(self, turn, start).planned()

    def reads(self, text: str) -> None:
        """Add a text to the input of the following model calls."""
        self.context += _tokens(text)

    def usage(self, written: str, reasoning: str = "") -> Usage:
        """Return the usage of a call that wrote this text."""
        thought = _tokens(reasoning) * 3 if reasoning else 0
        output = max(1, _tokens(written)) + thought
        cached = int(self.context * 0.6) // 128 * 128 if self.context > OVERHEAD + 300 else 0
        cost = ((self.context - cached * 0.75) * self.prices.input + output * self.prices.output) / 1_000_000
        return Usage(
            input_tokens=self.context,
            output_tokens=output,
            cached_tokens=cached,
            reasoning_tokens=thought,
            cost_usd=round(cost, 10),
            estimated=self.provider == "local",
        )


class _Run:
    """The plan of one run while it is made."""

    def __init__(self, session: TurnPlanner, turn: Turn, start: datetime) -> None:
        self._session = session
        self._turn = turn
        self._chance = session.chance
        self._id = id_at(start, self._chance)
        self._start = self._now = start
        self._messages: list[PlannedMessage] = []
        self._executions: list[PlannedExecution] = []
        self._total = TotalUsage(cost_usd=0.0)
        self._events: list[Event] = [
            Start(
                run_id=str(self._id),
                session_id=str(session.session_id),
                provider=session.provider,
                model=session.model,
            )
        ]

    def planned(self) -> PlannedRun:
        turn, session = self._turn, self._session
        picture = media.chart(WEEK_OF_BOOKINGS) if turn.image else b""
        self._add(PlannedMessage(role="user", text=turn.user, created=self._now, picture=picture))
        if turn.summary:
            self._compact()
        for attempt in range(turn.retries):
            self._pass(1, 4)
            code = "provider_rate_limited" if turn.code == "provider_rate_limited" else "provider_unavailable"
            failure: dict[str, Any] = {"provider": session.provider, "next_provider": session.provider, "code": code}
            self._events.append(Retry(attempt=attempt + 1, error=turn.error, **failure))
        is_waiting = False
        for number, step in enumerate(turn.steps):
            is_waiting = self._call(step, f"call_{self._id.hex[-6:]}{number}")
        if not is_waiting and turn.end != "failed":
            self._answer()
        status, reason = self._end(is_waiting=is_waiting)
        return PlannedRun(
            id=self._id,
            status=status,
            reason=reason,
            error=turn.error if status == "failed" else "",
            retryable=status == "failed",
            provider=session.provider,
            model=session.model,
            created=self._start,
            ended=None if is_waiting else self._now,
            usage=self._total,
            messages=tuple(self._messages),
            executions=tuple(self._executions),
            events=tuple(self._events),
            options={"output_schema": {"name": "review"}} if turn.structured else {},
        )

    def _pass(self, least: float, most: float) -> None:
        self._now += timedelta(seconds=round(self._chance.uniform(least, most), 3))

    def _add(self, message: PlannedMessage) -> None:
        self._messages.append(message)
        self._session.count += 1
        self._session.reads(message.text)

    def _write(self, text: str) -> None:
        """Let the model write a text, at its own speed."""
        self._pass(0.4, 1.6)
        pieces = PIECE.findall(text)
        self._events += [Token(token=piece) for piece in pieces]
        self._now += timedelta(seconds=len(pieces) / self._session.prices.words_per_second)

    def _account(self, usage: Usage) -> TotalUsage:
        self._events.append(usage)
        added = {
            name: getattr(self._total, name) + getattr(usage, name)
            for name in ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
        }
        cost = round((self._total.cost_usd or 0) + (usage.cost_usd or 0), 10)
        self._total = TotalUsage(**added, cost_usd=cost, estimated=self._total.estimated or usage.estimated)
        return msgspec.convert(msgspec.to_builtins(usage), TotalUsage)

    def _assistant(self, text: str, calls: Sequence[dict[str, str]] = (), reasoning: str = "") -> None:
        usage = self._account(self._session.usage(text + "".join(call["arguments"] for call in calls), reasoning))
        made: dict[str, Any] = {"text": text, "calls": tuple(calls), "reasoning": reasoning, "usage": usage}
        self._add(PlannedMessage(role="assistant", created=self._now, **made))

    def _compact(self) -> None:
        self._pass(2, 5)
        before, count = self._session.context, self._session.count - 1
        usage = self._account(self._session.usage(self._turn.summary))
        made: dict[str, Any] = {"text": self._turn.summary, "summarizes": count, "usage": usage}
        self._add(PlannedMessage(role="summary", created=self._now, **made))
        after = self._session.context = OVERHEAD + _tokens(self._turn.summary)
        self._events.append(Compaction(before=before, after=after, results=0, left_out=0, summarized=count))

    def _answer(self) -> None:
        if self._turn.reasoning and not self._turn.steps:
            self._events.append(Reasoning(text=self._turn.reasoning))
        text = self._turn.answer.strip("\n")
        self._write(text)
        self._assistant(text, reasoning=self._turn.reasoning if not self._turn.steps else "")

    def _call(self, step: Step, call_id: str) -> bool:
        """Plan a call. Return whether it waits for an approval."""
        reasoning = self._turn.reasoning if not self._executions else ""
        if reasoning:
            self._events.append(Reasoning(text=reasoning))
        self._write(step.say)
        arguments = msgspec.json.encode(step.params).decode()
        self._assistant(step.say, [{"call_id": call_id, "name": step.tool, "arguments": arguments}], reasoning)
        row = PlannedExecution(
            id=id_at(self._now, self._chance),
            call_id=call_id,
            tool=step.tool,
            params=step.params,
            params_sha256=params_sha256(step.params),
            created=self._now,
            needs_approval=bool(step.approval),
        )
        about: dict[str, Any] = {"tool": step.tool, "execution_id": str(row.id)}
        waits: dict[str, Any] = {"waits_for": "approval"} if step.approval else {}
        self._events.append(ToolCalled(**about, params=step.params, source="model", **waits))
        if step.approval:
            expires = self._now + timedelta(seconds=APPROVAL_SECONDS)
            required: dict[str, Any] = {
                "params": step.params,
                "params_sha256": row.params_sha256,
                "expires_at": expires.isoformat(),
            }
            self._events.append(ApprovalRequired(**about, **required))
        if step.approval == "waiting":
            self._executions.append(row)
            return True
        if step.approval:
            self._pass(45, MAX_WAIT_SECONDS)
            row = msgspec.structs.replace(
                row, decision=step.approval, decided=self._now, decided_by=step.by, note=step.note
            )
            decision: Any = step.approval
            self._events.append(ApprovalResolved(execution_id=str(row.id), decision=decision))
            self._pass(0.2, 1)
        self._executions.append(self._outcome(step, row, about))
        return False

    def _outcome(self, step: Step, row: PlannedExecution, about: dict[str, Any]) -> PlannedExecution:
        is_run = step.approval != "denied"
        started = self._now if is_run else None
        self._now += timedelta(seconds=step.seconds * self._chance.uniform(0.8, 1.3) if is_run else 0, milliseconds=3)
        code: Any = step.code
        if step.output:
            self._events.append(ToolOutput(**about, stream="stdout", text=step.output))
        ended: Event = ToolFailed(**about, error=step.error, code=code) if code else ToolResult(**about, data=step.data)
        self._events.append(ended)
        content = step.error if code else msgspec.json.encode(step.data).decode()
        answered: dict[str, Any] = {"call_id": row.call_id, "tool": step.tool, "is_error": bool(code)}
        self._add(PlannedMessage(role="tool", text=content, created=self._now, **answered))
        return msgspec.structs.replace(
            row, started=started, ended=self._now, data=step.data, output=step.output, error=step.error, code=code
        )

    def _end(self, *, is_waiting: bool) -> tuple[str, str]:
        """Add the last event, and return the status and the reason."""
        turn = self._turn
        if is_waiting:
            return "waiting", ""
        if turn.end == "failed":
            self._pass(0.5, 2)
            code: Any = turn.code
            self._events.append(Error(error=turn.error, code=code, retryable=True))
            return "failed", turn.code
        reason: Any = turn.end
        output: dict[str, Any] = {"output": msgspec.json.decode(turn.answer)} if turn.structured else {}
        ids = {"run_id": str(self._id), "session_id": str(self._session.session_id)}
        self._events.append(End(reason=reason, usage=self._total, **ids, **output))
        return ("cancelled" if turn.end == "cancelled" else "completed"), turn.end


def _tokens(text: str) -> int:
    return int(len(text.split()) * TOKENS_PER_WORD)
