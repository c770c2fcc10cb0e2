"""The agent as a tool of the MCP server: a call starts a run, and follows it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from pydantic import ValidationError

from access.caller import Caller
from chat import service_registry
from chat.api.errors import not_found, refusal_of
from chat.api.parsing import parse_request
from chat.api.request_schemas import ChatIn
from chat.api.run_access import run_fields
from chat.engine.events import ApprovalRequired, ClientToolCall, Event, Token, ToolCalled, ToolFailed
from chat.history import queries
from chat.models import Run
from chat.wire import sse
from storage.reader import read
from tools.base import ToolError, ToolSpec, parameters_schema
from tools.client_tools import results
from tools.mcp_server.calls import waiting
from tools.mcp_server.messages.steps import Ended, Said, Step, Waits

NAME: Final = "agent.run"
DESCRIPTION: Final = (
    "Give a task to the agent of this service, which works on it with its own model and tools, and return its answer. "
    "To continue a conversation, send its session_id; to get the answer of a run that waited, send only its run_id."
)
REFERENCE: Final = "mcp_request"
"""The field of a run's metadata that names the call which started it."""

OUTPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "The answer."},
        "run_id": {"type": "string", "description": "The id of the run."},
        "session_id": {"type": ["string", "null"], "description": "The id of its session, to continue it."},
        "status": {"type": "string", "description": "How the run ended, or waiting."},
        "reason": {"type": ["string", "null"], "description": "Why it ended."},
    },
    "required": ["text", "run_id", "session_id", "status"],
}


def _param(description: str) -> msgspec.Meta:
    return msgspec.Meta(description=description)


class AgentParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The params of the tool."""

    message: Annotated[str, _param("The task, or the next message of the conversation.")] = ""
    session_id: Annotated[UUID | None, _param("The session to continue. Null starts a new one.")] = None
    model: Annotated[str | None, _param("The model to answer. Null is the default.")] = None
    provider: Annotated[str | None, _param("The provider of the model. Null is the default.")] = None
    instructions: Annotated[str | None, _param("The system prompt of this run. Null is the service's.")] = None
    run_id: Annotated[UUID | None, _param("A run of an earlier call to follow, in place of a message.")] = None


class AgentTool:
    """The agent as a tool, which the app registers at its start."""

    spec = ToolSpec(name=NAME, description=DESCRIPTION, parameters=parameters_schema(AgentParams))
    output_schema = OUTPUT

    def call(self, arguments: Mapping[str, Any], caller: Caller, reference: str) -> "AgentCall":
        """Return a call that starts a run, or follows one."""
        return AgentCall(caller, partial(_run_of, arguments, caller, reference))

    def resumed(self, run_id: str, cursor: int, caller: Caller, answered: Callable[[], Awaitable[None]]) -> "AgentCall":
        """Return a call that follows a run after the event with this number, when the answer is recorded."""

        async def resumed_run() -> UUID:
            await answered()
            return UUID(run_id)

        return AgentCall(caller, resumed_run, cursor)

    async def cancel_call(self, reference: str, caller: Caller) -> None:
        """Cancel the run of a call with this reference, if exactly one is open."""
        found = await read(queries.open_runs, caller.owner, {REFERENCE: reference})
        if len(found) == 1:
            await service_registry.current().cancel(found[0], caller.owner)

    async def close(self) -> None:
        """End the runs of this process."""
        await service_registry.close()


class AgentCall:
    """One call of the agent. `begin` returns the id of its run, which is followed after the event `cursor`."""

    def __init__(self, caller: Caller, begin: Callable[[], Awaitable[UUID]], cursor: int = 0) -> None:
        self._caller = caller
        self._begin = begin
        self._cursor = cursor
        self._run: UUID | None = None

    async def steps(self) -> AsyncGenerator[Step]:
        """Follow the run to its end. Raises `ToolError` (`invalid_params`) and `ApiError`."""
        beginning = asyncio.ensure_future(self._begin())
        try:
            run_id = self._run = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            # The run may have begun all the same.
            self._run = await beginning
            raise
        service, owner = service_registry.current(), self._caller.owner
        if not await service.exists(run_id, owner):
            self._run = None
            raise not_found("run")
        # What the run waited for when the client last followed it may still be open.
        asks, calls = self._cursor > 0, set[str]()
        with closing(service.follow(run_id, owner, self._cursor, hides_reasoning=True)) as frames:
            if asks and (waits := await self._waits(run_id)):
                yield waits
            async for part in frames:
                events = sse.events(part) if part != sse.PING else []
                self._cursor += len(events)
                if said := "".join(map(_said, events)):
                    yield Said(said)
                asks = any(isinstance(event, ApprovalRequired) for event in events)
                if asks and (waits := await self._waits(run_id)):
                    yield waits
                calls |= {event.execution_id for event in events if isinstance(event, ClientToolCall)}
                waiting_for = await read(results.waiting_of, run_id) if calls else frozenset()
                if waiting_for and waiting_for <= calls:
                    break
        yield _ended(await run_fields(run_id, owner) or {}, run_id)

    async def withdraw(self) -> None:
        """Cancel the run."""
        if self._run is not None:
            await service_registry.current().cancel(self._run, self._caller.owner)

    async def _waits(self, run_id: UUID) -> Waits | None:
        """Return the question that a run waits for; None if it waits for none."""
        question = await read(waiting.question_of_run, run_id, self._caller.owner)
        if question is None:
            return None
        fields = _fields(await run_fields(run_id, self._caller.owner) or {}, run_id)
        fields["status"] = str(Run.Status.WAITING)
        return Waits(question=question, run_id=str(run_id), cursor=self._cursor, fields=fields)


async def _run_of(arguments: Mapping[str, Any], caller: Caller, reference: str) -> UUID:
    """Start a run, and return its id, or that of the run to follow. Raises `ToolError` and `ApiError`."""
    try:
        params = msgspec.convert(arguments, AgentParams)
    except msgspec.ValidationError as error:
        names = ", ".join(AgentParams.__struct_fields__)
        raise ToolError(f"{error}. {NAME} takes: {names}.", code="invalid_params") from None
    if params.run_id is not None:
        if params.message or params.session_id is not None:
            raise ToolError("Send either run_id, or a message.", code="invalid_params")
        return params.run_id
    fields: dict[str, Any] = {name: getattr(params, name) for name in params.__struct_fields__ if name != "run_id"}
    # The call itself cancels the run, and a run that waits needs no follower.
    fields |= {"on_disconnect": "continue", "metadata": {REFERENCE: reference} if reference else {}}
    try:
        body = ChatIn(**fields)
    except ValidationError as error:
        problems = "; ".join(f"{problem['loc'] or 'message'}: {problem['msg']}" for problem in error.errors())
        raise ToolError(f"{problems}.", code="invalid_params") from None
    try:
        return (await service_registry.current().start(await parse_request(caller, body, ""))).spec.run_id
    except Exception as error:
        if (refusal := refusal_of(error)) is not None:
            raise refusal from error
        raise


def _ended(run: Mapping[str, Any], run_id: UUID) -> Ended:
    """Return the result of a run that has ended, or that waits for another client."""
    fields = _fields(run, run_id)
    if fields["status"] in {Run.Status.COMPLETED, Run.Status.WAITING}:
        return Ended(text=fields["text"], structured=fields)
    problem = run.get("error") or f"The run ended as {fields['status']}."
    return Ended(text=f"{fields['text']}\n{problem}".strip(), structured=fields, is_error=True)


def _fields(run: Mapping[str, Any], run_id: UUID) -> dict[str, Any]:
    """Return the structured result of a run."""
    session = run.get("session_id")
    return {
        "text": run.get("text") or "",
        "run_id": str(run_id),
        "session_id": str(session) if session else None,
        "status": str(run.get("status") or Run.Status.INTERRUPTED),
        "reason": run.get("reason"),
    }


def _said(event: Event) -> str:
    """Return what a client is shown of an event while the run continues."""
    if isinstance(event, Token):
        return event.token
    if isinstance(event, ToolCalled):
        return f"\n[{event.tool} runs]\n"
    if isinstance(event, ToolFailed):
        return f"\n[{event.tool} failed: {event.error}]\n"
    return ""
