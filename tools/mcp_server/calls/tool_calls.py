"""Calls of tools by clients: each runs through the same executor as those of runs, and is recorded.

A call that needs an approval is recorded before anything is asked. A later call with the same params continues it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec

from access.caller import Caller, require
from storage.reader import read
from storage.writer import writer
from tools.approvals.api import decide
from tools.base import Failed, Output, Progress, Succeeded, ToolError, ToolRequest, Waiting
from tools.execution.executor import ToolExecutor
from tools.execution.request import Call, prechecked, previewed
from tools.mcp_server import offered
from tools.mcp_server.calls import waiting
from tools.mcp_server.messages.protocol import INVALID_PARAMS, RpcError
from tools.mcp_server.messages.questions import APPROVE, Answer
from tools.mcp_server.messages.steps import Ended, Said, Step, Waits
from tools.mcp_server.seals import CallState
from web.errors import ApiError

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
"""The interval at which a call looks for its decision, which any process may record."""

FULL: Final = f"At most {waiting.MAX_WAITING} calls may wait for an approval. Decide some of them first."
UNAWAITED: Final = "The execution {} is {} already. Its record is at GET /tools/executions/{}. Call the tool again."
OTHER: Final = "requestState is about another call than this one. Send it with the same name and arguments."
CHANGED: Final = "The action of the question has changed. Call the tool again, for a new approval."


class ToolCall:
    """One call of a tool by a client. `reference` is stored with its execution, so that any process can cancel it.

    It continues the execution of `state` if there is one, whose question may have an `answer`.
    """

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        caller: Caller,
        reference: str,
        *,
        state: CallState | None = None,
        answer: Answer | None = None,
    ) -> None:
        self._caller = caller
        self._state = state
        self._answer = answer
        self._waiting: UUID | None = None
        self._executor: ToolExecutor = offered.executor_of(caller)
        text = msgspec.json.encode(arguments).decode()
        self._call = self._executor.inspect(ToolRequest(tool=name, arguments=text, source="caller", call_id=reference))

    @property
    def needs_approval(self) -> bool:
        return self._call.refusal is None and self._call.decision == "ask"

    async def steps(self) -> AsyncGenerator[Step]:
        """Run the tool, or wait for its approval and run it then. A cancelled task ends the tool.

        Raises `RpcError` if the state is about another call, `ApiError` (403) and `StorageUnavailable`.
        """
        if not self.needs_approval:
            async with aclosing(_shown(self._executor.execute(self._call))) as steps:
                async for step in steps:
                    yield step
            return
        shown = await previewed(await prechecked(self._call), offered.masker())
        known = await self._known(shown, self._state)
        if isinstance(known, Ended):
            yield known
            return
        self._waiting = known
        if known is None:
            async with aclosing(_shown(self._executor.execute(self._call))) as steps:
                async for step in steps:
                    if isinstance(step, Waiting):
                        self._waiting = UUID(step.execution_id)
                    else:
                        yield step
        elif self._state is not None:
            await record(self._answer, self._caller, self._state)
        # A call that can only fail has its result already.
        if self._waiting is not None:
            async with aclosing(self._decided(self._waiting)) as decided:
                async for step in decided:
                    yield step

    async def withdraw(self) -> None:
        """Record that the call was cancelled while it waited, also if it was approved and has not started."""
        if self._waiting is None:
            return
        withdrawn = await writer.write(partial(waiting.settled, self._waiting, cancelled=True))
        if withdrawn is not None and withdrawn.decision == "cancelled":
            async for _ in self._executor.resume(self._call, withdrawn):
                pass

    async def _known(self, shown: Call, state: CallState | None) -> UUID | Ended | None:
        """Return the execution of this call that waits; None if it is new. Raises `RpcError`."""
        owner, tool = self._caller.owner, self._call.request.tool
        if state is not None:
            status: str = await read(waiting.status_of, UUID(state.execution_id), owner)
            if status != waiting.Status.AWAITING_APPROVAL:
                problem = UNAWAITED.format(state.execution_id, status or "gone", state.execution_id)
                return failed(ToolError(problem, code="conflict"))
            if state.params_sha256 == shown.params.sha256:
                return UUID(state.execution_id)
            if shown.preview is None and shown.refusal is None:
                raise RpcError(INVALID_PARAMS, OTHER)
            return failed(shown.refusal or ToolError(CHANGED, code="conflict"))
        if shown.refusal is not None:
            return None
        found: UUID | None = await read(waiting.found, owner, tool, shown.params.sha256)
        if found is None and not await read(waiting.has_room, owner):
            return failed(ToolError(FULL, code="conflict"))
        return found

    async def _decided(self, execution_id: UUID) -> AsyncGenerator[Step]:
        """Yield the question until it is decided, and then run or refuse the call."""
        approval = await writer.write(partial(waiting.settled, execution_id))
        if approval is None:
            question = await read(waiting.question, execution_id, self._caller.owner)
            if question is not None:
                yield Waits(question=question)
            # Any process may record the decision, so only the database knows of it.
            while not await read(waiting.is_settled, execution_id):  # noqa: ASYNC110 - as above
                await asyncio.sleep(POLL_SECONDS)
            approval = await writer.write(partial(waiting.settled, execution_id))
        if approval is None:
            yield failed(ToolError(f"The execution {execution_id} no longer waits.", code="conflict"))
            return
        # The policy overrules an approval, so it is asked again.
        call = self._executor.inspect(self._call.request)
        async with aclosing(_shown(self._executor.resume(call, approval))) as steps:
            async for step in steps:
                yield step


async def record(answer: Answer | None, caller: Caller, state: CallState) -> None:
    """Record the answer of the person at the client, if there is one. Raises `ApiError` (403)."""
    if answer is None:
        return
    require(caller, (APPROVE,))
    decided = partial(decide, caller.owner, UUID(state.execution_id), answer.verdict)
    try:
        await decided(params_sha256=state.params_sha256, note=answer.note)
    except ApiError as error:
        # It may have been decided elsewhere since it was asked. Then that decision counts.
        logger.info("mcp.answer_late", extra={"execution": state.execution_id, "code": error.code})


async def _shown(steps: AsyncGenerator[Progress]) -> "AsyncGenerator[Any]":
    """Yield what a client is shown of an execution, and `Waiting`."""
    async with aclosing(steps):
        async for step in steps:
            if isinstance(step, Output):
                yield Said(step.text)
            elif isinstance(step, Succeeded):
                yield Ended(text=step.content, structured=step.data if isinstance(step.data, dict) else None)
            elif isinstance(step, Failed):
                yield failed(ToolError(step.error, code=step.code))
            elif isinstance(step, Waiting):
                yield step


def failed(error: ToolError) -> Ended:
    """Return the result of a tool that failed. A model can read it."""
    return Ended(text=f"{error.code}: {error}", is_error=True)
