"""A conversation: turns that follow each other in one session, over any transport."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Literal

import msgspec
from orchestrator_client import (
    ApprovalRequired,
    ApprovalResolved,
    Call,
    End,
    Error,
    Image,
    Start,
    TotalUsage,
)

from chat.client.rendering import Rendering, Span
from chat.client.transport import Item, Lost, Question, Refused, Transport, Verdict

Outcome = Literal["completed", "cancelled", "failed"]
Show = Callable[[Span], None]
Decide = Callable[[Item], Awaitable[Verdict | None]]
"""Asks the user about an execution that waits. None leaves it open."""


class ChatDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """The options of every question in a conversation."""

    provider: str | None = None
    model: str | None = None
    instructions: str | None = None
    reasoning: Literal["show"] | None = None


class Conversation:
    """Sends one question after the other. `session_id` is the newest run's, or None if there is no session.

    `attachments` go with the next question, and `used` sums up all questions. Without `decide`, executions that wait
    are decided elsewhere.
    """

    def __init__(
        self,
        transport: Transport,
        show: Show,
        defaults: ChatDefaults,
        session_id: str | None = None,
        decide: Decide | None = None,
    ) -> None:
        self.transport = transport
        self.defaults = defaults
        self.session_id = session_id
        self.attachments: tuple[Image, ...] = ()
        self.used = TotalUsage(cost_usd=0.0)
        self._show = show
        self._decide = decide
        self._run_id: str | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._deciding: asyncio.Task[None] | None = None

    async def turn(self, message: str, tool_calls: tuple[Call, ...] = ()) -> Outcome:
        """Send a question, and show its events until the run is over.

        Ctrl-C cancels the run and waits for its end. A second Ctrl-C returns at once.
        """
        asking = asyncio.current_task()
        loop = asyncio.get_running_loop()
        self._run_id = self._stopping = self._deciding = None

        def interrupt() -> None:
            if self._run_id is not None and self._stopping is None:
                self._stopping = loop.create_task(self._cancel(self._run_id))
            elif asking is not None:
                asking.cancel()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        question = Question(
            message=message,
            tool_calls=tool_calls,
            session_id=self.session_id,
            provider=self.defaults.provider,
            model=self.defaults.model,
            instructions=self.defaults.instructions,
            reasoning=self.defaults.reasoning,
            attachments=self.attachments,
        )
        self.attachments = ()
        try:
            return await self._follow(question, interrupt)
        except (Refused, Lost) as error:
            self._show(Span("error", f"{error}\n"))
            return "failed"
        except asyncio.CancelledError:
            self._show(Span("warning", "\nDisconnected. The run stops by itself.\n"))
            return "cancelled"
        finally:
            self._leave_question()
            loop.remove_signal_handler(signal.SIGINT)

    async def compact(self, session_id: str) -> Item:
        """Summarise the older messages of the session, and return the run. Raise `Refused` and `Lost`."""
        run = await self.transport.compact(session_id)
        self.used = _sum(self.used, msgspec.convert(run["usage"], TotalUsage))
        return run

    async def _follow(self, question: Question, interrupt: Callable[[], None]) -> Outcome:
        rendering = Rendering()
        outcome: Outcome = "failed"
        async with aclosing(self.transport.ask(question)) as items:
            async for item in items:
                if isinstance(item, ApprovalResolved | End | Error):
                    # The decision came from elsewhere, or the time is over.
                    self._leave_question()
                if isinstance(item, ApprovalRequired) and self._decide is not None:
                    # The stream is read meanwhile: a reader that takes nothing is dropped.
                    self._deciding = asyncio.create_task(self._ask(item, self._decide, interrupt))
                    continue
                for span in rendering.show(item):
                    self._show(span)
                if isinstance(item, Start):
                    self._run_id, self.session_id = item.run_id, item.session_id
                elif isinstance(item, End):
                    outcome = "cancelled" if item.reason == "cancelled" else "completed"
                    self.used = _sum(self.used, item.usage)
                elif isinstance(item, Error):
                    self.used = _sum(self.used, TotalUsage())
        return outcome

    async def _ask(self, item: ApprovalRequired, decide: Decide, interrupt: Callable[[], None]) -> None:
        """Ask the user about an execution, and send the decision."""
        try:
            execution = await self.transport.execution(item.execution_id)
            verdict = await decide(execution)
            if verdict is not None:
                await self.transport.decide(item.execution_id, verdict, str(execution["params_sha256"]))
        except KeyboardInterrupt:
            interrupt()
        except (Refused, Lost) as error:
            self._show(Span("warning", f"{error} The run waits for a decision from elsewhere.\n"))

    def _leave_question(self) -> None:
        if self._deciding is not None:
            self._deciding.cancel()
            self._deciding = None

    async def _cancel(self, run_id: str) -> None:
        # If this fails, the events of the run still show how it ends.
        with suppress(Lost, Refused):
            await self.transport.cancel(run_id)


def _sum(total: TotalUsage, more: TotalUsage) -> TotalUsage:
    known = total.cost_usd is not None and more.cost_usd is not None
    return TotalUsage(
        input_tokens=total.input_tokens + more.input_tokens,
        output_tokens=total.output_tokens + more.output_tokens,
        cached_tokens=total.cached_tokens + more.cached_tokens,
        reasoning_tokens=total.reasoning_tokens + more.reasoning_tokens,
        cost_usd=(total.cost_usd or 0.0) + (more.cost_usd or 0.0) if known else None,
        estimated=total.estimated or more.estimated,
    )
