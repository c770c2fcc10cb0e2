"""The record of a live run: the items of its turn as events, rows, bookings, spans and metrics."""

import asyncio
import logging
from functools import partial

from chat.engine.events import (
    ApprovalRequired,
    ClientToolCall,
    Reasoning,
    Retry,
    Terminal,
    ToolCalled,
    TotalUsage,
    Usage,
)
from chat.engine.loop import Item, MessageAdded, Suspended
from chat.engine.model_port import Text
from chat.runs.live.metrics import record_call, record_end
from chat.runs.live.outcome import Ending, ending_of, finish
from chat.runs.live.spec import RunSpec
from chat.runs.live.suspension import Suspension, suspend
from chat.runs.live.tracing import trace_run
from chat.runs.log.journal import RunLog
from chat.runs.log.message_rows import add_message
from telemetry import metrics
from tools.execution.rows import close_awaited

logger = logging.getLogger(__name__)


class RunRecorder:
    """Records what one run's turn yields. `answered_by` is the provider and the model of the newest answer."""

    def __init__(self, spec: RunSpec, log: RunLog) -> None:
        self.answered_by = (spec.start.provider or "", spec.start.model or "")
        self._spec = spec
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._has_calls = False
        self._first_token_seconds: float | None = None
        self._questions: list[ApprovalRequired | ClientToolCall] = []
        spec.budget.settled = log.settled
        self._trace = trace_run(spec.start, resumed=spec.last > 0)
        if self._trace is not None:
            spec.budget.on_call = self._trace.on_call

    @property
    def seconds(self) -> float:
        """The run's time in this process so far, in seconds."""
        return self._loop.time() - self._started

    def on_text(self, text: Text) -> None:
        """Append pieces of the answer to the log."""
        if self._first_token_seconds is None:
            self._first_token_seconds = self.seconds
            metrics.first_token_seconds.add(self._first_token_seconds)
        self._log.tokens(text)

    def add(self, item: Item) -> None:
        """Record an item that is neither text nor the end of the turn."""
        if self._trace is not None:
            self._trace.note(item)
        if isinstance(item, MessageAdded):
            if item.candidate is not None:
                self.answered_by = (item.candidate.provider.name, item.candidate.model)
            ids = self._spec.session_id, self._spec.run_id
            self._log.record(partial(add_message, *ids, item.message, item.candidate, item.usage))
        elif isinstance(item, Usage):
            self._book(item)
        elif isinstance(item, Reasoning):
            self._log.append(item, urgent=False, live=True)
        elif isinstance(item, ApprovalRequired | ClientToolCall):
            # The question is stored together with the suspension: when a client sees it, the run already waits, and
            # an answer finds it after a crash too.
            self._questions.append(item)
        elif not isinstance(item, Suspended):
            self._append_questions()
            self._has_calls = self._has_calls or isinstance(item, ToolCalled)
            if isinstance(item, Retry):
                metrics.provider_errors.add(item.provider, item.code)
            self._log.append(item)

    def _book(self, used: Usage) -> None:
        # Clients do not wait for usage, so it is stored with what comes next instead of in a commit of its own.
        self._log.append(used, urgent=False)
        budget = self._spec.budget
        record_call(budget.candidate, used)
        events = budget.usage_events(used)
        self._log.record(budget.settlement(used))
        for event in events:
            self._log.append(event, urgent=False)

    def suspend(self, suspended: Suspended) -> None:
        """Record that the run waits, and release it from this process."""
        provider, model = self.answered_by
        suspension = Suspension(
            run_id=self._spec.run_id,
            suspended=suspended,
            seconds_left=max(0.0, self._spec.max_seconds - self.seconds),
            provider=provider,
            model=model,
        )
        self._log.record(partial(suspend, suspension))
        self._count_time(is_over=False)
        self._append_questions()

    def end(self, terminal: Terminal, usage: TotalUsage) -> Ending:
        """Record the end of the run, and append its last event. `usage` is the usage up to a failure."""
        spec = self._spec
        ending = ending_of(spec.run_id, spec.session_id, terminal, answered_by=self.answered_by, usage=usage)
        if self._has_calls and ending.reason != "completed":
            # It may have been stopped before it could wait.
            self._log.record(partial(close_awaited, spec.run_id))
        if closing := spec.budget.closing():
            self._log.record(closing)
        self._count_time(is_over=True)
        self._append_questions()
        self._log.record(partial(finish, ending))
        self._log.append(terminal)
        return ending

    def _count_time(self, *, is_over: bool) -> None:
        if timing := self._spec.budget.timing(self.seconds, self._first_token_seconds, is_over=is_over):
            self._log.record(timing)

    def _append_questions(self) -> None:
        for question in self._questions:
            self._log.append(question)
        self._questions = []

    def trace_suspension(self) -> None:
        """End the spans of this part of the run."""
        if self._trace is not None:
            self._trace.suspend()

    def report(self, ending: Ending, *, owned: bool) -> None:
        """Report the end to the trace and the log, and to the metrics if this process still owned the run."""
        seconds = self.seconds
        if self._trace is not None:
            self._trace.end(ending)
        # The process that took the run over has counted its end already.
        if owned:
            record_end(ending, self._spec.budget.candidate, seconds)
        logger.info("run.ended", extra=ending.log_fields(seconds))
