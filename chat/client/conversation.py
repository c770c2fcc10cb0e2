"""One conversation: its turns follow each other in one session, whatever way leads to the service."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Any, Literal

import msgspec

from chat.client.events import Frame
from chat.client.rendering import Rendering, Span
from chat.client.transport import Call, Lost, Question, Refused, Transport

Outcome = Literal["completed", "cancelled", "failed"]
Show = Callable[[Span], None]


class ChatDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What every question of a conversation is asked with."""

    provider: str | None = None
    model: str | None = None
    instructions: str | None = None


class Conversation:
    """Asks one question after the other. `session_id` is the newest run's; None before it, or where none is kept."""

    def __init__(self, transport: Transport, show: Show, wishes: ChatDefaults, session_id: str | None = None) -> None:
        self.session_id = session_id
        self._transport = transport
        self._show = show
        self._wishes = wishes
        self._run_id: str | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def turn(self, message: str, tool_calls: tuple[Call, ...] = ()) -> Outcome:
        """Asks, and shows what comes until the run is over.

        Ctrl-C cancels the run, whose end is waited for; a second one leaves at once.
        """
        asking = asyncio.current_task()
        loop = asyncio.get_running_loop()
        self._run_id = self._stopping = None
        loop.add_signal_handler(signal.SIGINT, self._interrupt, asking)
        try:
            return await self._follow(self._question(message, tool_calls))
        except (Refused, Lost) as error:
            self._show(Span("error", f"{error}\n"))
            return "failed"
        except asyncio.CancelledError:
            self._show(Span("warning", "\nleft; the run stops by itself\n"))
            return "cancelled"
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def _question(self, message: str, tool_calls: tuple[Call, ...]) -> Question:
        wishes = self._wishes
        return Question(
            message=message,
            tool_calls=tool_calls,
            session_id=self.session_id,
            provider=wishes.provider,
            model=wishes.model,
            instructions=wishes.instructions,
        )

    async def _follow(self, question: Question) -> Outcome:
        rendering = Rendering()
        outcome: Outcome = "failed"
        async with aclosing(self._transport.ask(question)) as items:
            async for item in items:
                for span in rendering.show(item):
                    self._show(span)
                if isinstance(item, Frame):
                    self._note(item)
                    outcome = _outcome(item)
        return outcome

    def _note(self, frame: Frame) -> None:
        if frame.type == "start":
            self._run_id, self.session_id = frame.run_id, frame.session_id

    def _interrupt(self, asking: "asyncio.Task[Any] | None") -> None:
        if self._run_id is not None and self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._cancel(self._run_id))
        elif asking is not None:
            asking.cancel()

    async def _cancel(self, run_id: str) -> None:
        with suppress(Lost, Refused):
            await self._transport.cancel(run_id)


def _outcome(frame: Frame) -> Outcome:
    if frame.type == "end":
        return "cancelled" if frame.reason == "cancelled" else "completed"
    return "failed"
