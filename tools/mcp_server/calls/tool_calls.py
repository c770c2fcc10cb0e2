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
CHANGED: Final = "What was asked about has changed. Call the tool again, for a new approval."


class ToolCall:
    """One call of a tool by a client. `reference` is stored with its execution, so that any process can cancel it."""

    def __init__(self, name: str, arguments: Mapping[str, Any], caller: Caller, reference: str) -> None:
        self._caller = caller
        self._executor: ToolExecutor = offered.executor_of(caller)
        text = msgspec.json.encode(arguments).decode()
        self._call = self._executor.inspect(ToolRequest(tool=name, arguments=text, source="caller", call_id=reference))

    @property
    def needs_approval(self) -> bool:
        return self._call.refusal is None and self._call.decision == "ask"

    async def steps(self, state: CallState | None = None, answer: Answer | None = None) -> AsyncGenerator[Step]:
        """Run the tool, or continue the execution of `state`, whose question may have an answer.

        A cancelled task ends the tool. Raises `RpcError` if the state is about another call, and `StorageUnavailable`.
        """
        call = self._call
        if not self.needs_approval:
            async for step in _shown(self._executor.execute(call)):
                yield step
            return
        shown = await previewed(await prechecked(call), offered.masker())
        execution_id = await self._known(shown, state)
        if isinstance(execution_id, Ended):
            yield execution_id
            return
        if execution_id is None:
            async for step in _shown(self._executor.execute(call)):
                if isinstance(step, Waiting):
                    execution_id = UUID(step.execution_id)
                else:
                    yield step
            # A call that can only fail has its result already.
            if execution_id is None:
                return
        if answer is not None:
            await record(answer, self._caller, execution_id, shown.params.sha256)
        async with aclosing(self._decided(call, execution_id)) as steps:
            async for step in steps:
                yield step

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

    async def _decided(self, call: Call, execution_id: UUID) -> AsyncGenerator[Step]:
        """Yield the question until it is decided, and then run or refuse the call."""
        approval = await writer.write(partial(waiting.settled, execution_id))
        try:
            if approval is None:
                question = await read(waiting.question, execution_id, self._caller.owner)
                if question is not None:
                    yield Waits(question=question)
                # Any process may record the decision, so only the database knows of it.
                while not await read(waiting.is_settled, execution_id):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(POLL_SECONDS)
                approval = await writer.write(partial(waiting.settled, execution_id))
        except asyncio.CancelledError:
            # A cancelled call is withdrawn, also one that was approved and has not started.
            withdrawn = await writer.write(partial(waiting.settled, execution_id, cancelled=True))
            if withdrawn is not None and withdrawn.decision == "cancelled":
                async for _ in self._executor.resume(call, withdrawn):
                    pass
            raise
        if approval is None:
            yield failed(ToolError(f"The execution {execution_id} no longer waits.", code="conflict"))
            return
        # The policy overrules an approval, so it is asked again.
        async for step in _shown(self._executor.resume(self._executor.inspect(call.request), approval)):
            yield step


async def record(answer: Answer, caller: Caller, execution_id: UUID, params_sha256: str) -> None:
    """Record the answer of the person at the client. Raises `ApiError` (403)."""
    require(caller, (APPROVE,))
    try:
        await decide(caller.owner, execution_id, answer.verdict, params_sha256=params_sha256, note=answer.note)
    except ApiError as error:
        # It may have been decided elsewhere since it was asked. Then that decision counts.
        logger.info("mcp.answer_late", extra={"execution": str(execution_id), "code": error.code})


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
