"""One call under way: the task that runs it, and its messages for the client."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

from storage.per_loop import PerLoop
from storage.writer import StorageUnavailable
from tools.base import ToolError
from tools.mcp_server.calls.tool_calls import failed
from tools.mcp_server.messages.protocol import INTERNAL_ERROR, Id, RpcError, failure, progress, request, result
from tools.mcp_server.messages.questions import METHOD
from tools.mcp_server.messages.steps import ClientCall, Ended, Said, Step, Waits
from web.errors import ApiError

logger = logging.getLogger(__name__)

MAX_SAID_CHARS: Final = 4_096
"""Characters of one message of progress. Of more, the end is sent; the result has all."""

PACE_SECONDS: Final = 0.1
"""The least time between two notifications of progress. Output in between is joined."""

CANCELLED: Final = -32800
"""The code of a request that was cancelled, as in the Language Server Protocol. Clients do not wait for it."""

Message = dict[str, Any]
OnWaits = Callable[[Waits], Message | None]
"""Returns the fields of the result with which a call that waits ends; None if it asks and continues."""

STOPPED: Final = RpcError(CANCELLED, "The request was cancelled.")
SHUTTING_DOWN: Final = RpcError(INTERNAL_ERROR, "The service is shutting down. Send the request again in 5 s.")


class Exchange:
    """A call under way. Iterate over its messages, the last of which is the response; `close` cancels the call.

    While nothing happens for `heartbeat` seconds, the iterator yields None. Without a token, it yields no progress.
    """

    def __init__(
        self,
        number: Id,
        call: ClientCall,
        on_waits: OnWaits,
        *,
        finish: Callable[[Message], Message],
        token: Id | None = None,
        heartbeat: float,
    ) -> None:
        self._number = number
        self._call = call
        self._on_waits = on_waits
        self._finish = finish
        self._token = token
        self._heartbeat = heartbeat
        self._news = asyncio.Event()
        self._said = ""
        self._count = 0
        self._questions: list[Message] = []
        self._response: Message | None = None
        self._task: asyncio.Task[None] | None = None
        self._problem: RpcError | None = None
        self._on_end: list[Callable[[], None]] = []
        self.is_cancelled = False
        """True if the client cancelled the call. Its response is then only for a transport that needs one."""

    def on_end(self, act: Callable[[], None]) -> None:
        """Call a function when the call has ended, or when it is closed before it began."""
        self._on_end.append(act)

    def start(self) -> None:
        """Start the call. Calling this again is safe."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            # The cleanup of a cancelled tool takes longer than its connection lasts.
            _started.current()[self._task] = self
            self._task.add_done_callback(self._ended)

    def close(self, problem: RpcError = STOPPED) -> None:
        """Cancel the call if it has not ended. Its record says so when its tool has stopped."""
        # A second cancel would interrupt the cleanup that the first one began.
        if self._problem is not None:
            return
        self._problem = problem
        if self._task is None:
            self._ended(None)
        else:
            self._task.cancel()

    async def __aiter__(self) -> AsyncIterator[Message | None]:
        self.start()
        while True:
            try:
                async with asyncio.timeout(self._heartbeat):
                    await self._news.wait()
            except TimeoutError:
                yield None
                continue
            self._news.clear()
            while self._questions:
                yield self._questions.pop(0)
            while self._said and self._token is not None:
                said, self._said = self._said, ""
                yield progress(self._token, self._count, said)
                if self._task is not None:
                    await asyncio.wait([self._task], timeout=PACE_SECONDS)
            if self._response is not None:
                yield self._response
                return

    async def _run(self) -> None:
        problem = RpcError(INTERNAL_ERROR, "The call ended without a result.")
        try:
            async with aclosing(self._call.steps()) as steps:
                async for step in steps:
                    if self._take(step):
                        return
        except asyncio.CancelledError:
            # A call that waits survives the end of its process, but not a cancel by its client.
            if self._problem is STOPPED:
                await self._call.withdraw()
            raise
        except RpcError as error:
            problem = error
        except ToolError as error:
            self._end(failed(error))
            return
        except ApiError as error:
            self._end(Ended(text=f"{error.code}: {error.error}", is_error=True))
            return
        except StorageUnavailable:
            problem = RpcError(INTERNAL_ERROR, "The database is not available at the moment. Retry in 1 s.")
        except Exception:
            logger.exception("mcp.broken")
            problem = RpcError(INTERNAL_ERROR, "Internal error. The service's log has the details.")
        self._respond(failure(self._number, problem))

    def _take(self, step: Step) -> bool:
        """Take the next step; return whether it is the last one."""
        if isinstance(step, Said):
            if self._token is not None and step.text:
                self._count += len(step.text)
                self._said = (self._said + step.text)[-MAX_SAID_CHARS:]
                self._news.set()
            return False
        if isinstance(step, Ended):
            self._end(step)
            return True
        fields = self._on_waits(step)
        if fields is not None:
            self._respond(result(self._number, fields))
            return True
        self._questions.append(request(step.question.id, METHOD, step.question.form))
        self._news.set()
        return False

    def _end(self, ended: Ended) -> None:
        self._respond(result(self._number, self._finish(ended.fields)))

    def _respond(self, response: Message) -> None:
        self._response = response
        self._news.set()

    def _ended(self, task: "asyncio.Task[None] | None") -> None:
        if task is not None:
            _started.current().pop(task, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.error("mcp.broken", exc_info=error)
        if self._response is None:
            problem = self._problem or SHUTTING_DOWN
            self.is_cancelled = problem is STOPPED
            self._respond(failure(self._number, problem))
        acts, self._on_end = self._on_end, []
        for act in acts:
            act()


_started: PerLoop[dict["asyncio.Task[None]", Exchange]] = PerLoop(dict)


async def end_all(drain: float = 0.0) -> None:
    """End the calls under way after `drain` seconds, and wait until their records are written."""
    started = _started.current()
    # `asyncio.wait` rejects an empty set.
    if started and drain:
        await asyncio.wait(started, timeout=drain)
    for exchange in list(started.values()):
        exchange.close(SHUTTING_DOWN)
    if started:
        await asyncio.wait(list(started))
