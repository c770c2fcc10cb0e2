"""A conversation: turns that follow each other in one session, over any transport."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Literal

import msgspec

from chat.client.events import Frame
from chat.client.rendering import Rendering, Span
from chat.client.transport import Call, Lost, Question, Refused, Transport

Outcome = Literal["completed", "cancelled", "failed"]
Show = Callable[[Span], None]


class ChatDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """The options of every question in a conversation."""

    provider: str | None = None
    model: str | None = None
    instructions: str | None = None


class Conversation:
    """Sends one question after the other. `session_id` is the newest run's, or None if there is no session."""

    def __init__(self, transport: Transport, show: Show, defaults: ChatDefaults, session_id: str | None = None) -> None:
        self.session_id = session_id
        self._transport = transport
        self._show = show
        self._defaults = defaults
        self._run_id: str | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def turn(self, message: str, tool_calls: tuple[Call, ...] = ()) -> Outcome:
        """Send a question, and show its events until the run is over.

        Ctrl-C cancels the run and waits for its end. A second Ctrl-C returns at once.
        """
        asking = asyncio.current_task()
        loop = asyncio.get_running_loop()
        self._run_id = self._stopping = None

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
            provider=self._defaults.provider,
            model=self._defaults.model,
            instructions=self._defaults.instructions,
        )
        try:
            return await self._follow(question)
        except (Refused, Lost) as error:
            self._show(Span("error", f"{error}\n"))
            return "failed"
        except asyncio.CancelledError:
            self._show(Span("warning", "\nDisconnected. The run stops by itself.\n"))
            return "cancelled"
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _follow(self, question: Question) -> Outcome:
        rendering = Rendering()
        outcome: Outcome = "failed"
        async with aclosing(self._transport.ask(question)) as items:
            async for item in items:
                for span in rendering.show(item):
                    self._show(span)
                if not isinstance(item, Frame):
                    continue
                if item.type == "start":
                    self._run_id, self.session_id = item.run_id, item.session_id
                elif item.type == "end":
                    outcome = "cancelled" if item.reason == "cancelled" else "completed"
        return outcome

    async def _cancel(self, run_id: str) -> None:
        # If this fails, the events of the run still show how it ends.
        with suppress(Lost, Refused):
            await self._transport.cancel(run_id)
