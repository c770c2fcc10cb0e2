"""The commands of `/ws/chat`: start, resume, follow and cancel runs, and decide on tool executions."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from access.caller import Caller
from chat import service_registry
from chat.api.errors import not_found
from chat.api.parsing import parse_request
from chat.api.run_access import owner_of
from chat.api.sockets.messages import Cancel, Chat, Command, Decide, Follow, GiveResult, Resume
from chat.runs.start.idempotency import AlreadyBegun
from tools.approvals.api import decide
from tools.client_tools.api import store_result


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a command: the fields of its `done` reply (None for no reply), and the run to follow."""

    done: dict[str, Any] | None = None
    run_id: UUID | None = None
    owner: str = ""
    cursor: int = 0
    hides_reasoning: bool = False


async def execute(command: Command, caller: Caller) -> Result:
    """Execute a command. Raise `ApiError` and the errors in `chat.api.errors.REFUSALS`."""
    if isinstance(command, Decide):
        decision: Literal["approved", "denied"] = "approved" if command.type == "approve" else "denied"
        fields = {"params_sha256": command.params_sha256, "note": command.note}
        decided = await decide(caller.owner, command.execution_id, decision, **fields)
        return Result(done={"execution_id": str(decided["id"]), "decision": decided["decision"]})
    if isinstance(command, GiveResult):
        given = await store_result(caller, command.execution_id, command.data, command.error)
        return Result(done={"execution_id": str(given["id"]), "status": given["status"]})
    if isinstance(command, Cancel):
        status = await service_registry.current().cancel(command.run_id, caller.owner)
        if status is None:
            raise not_found("run")
        return Result(done={"run_id": str(command.run_id), "status": status})
    if isinstance(command, Follow):
        owner = await owner_of(command.run_id, caller)
        if not await service_registry.current().exists(command.run_id, owner):
            raise not_found("run")
        hides = not caller.scopes.may("reasoning")
        return Result(run_id=command.run_id, owner=owner, cursor=command.after, hides_reasoning=hides)
    return await _start(command, caller)


async def _start(command: Chat | Resume, caller: Caller) -> Result:
    service = service_registry.current()
    hides = False
    try:
        if isinstance(command, Chat):
            run = await service.start(await parse_request(caller, command, command.idempotency_key))
        else:
            run = await service.resume(command.run_id, caller)
        run_id = run.spec.run_id
    except AlreadyBegun as begun:
        run_id, hides = begun.run_id, not caller.scopes.may("reasoning")
    # Without a `ref` the client needs no reply, since the run's first event has its id.
    done = {"run_id": str(run_id)} if command.ref else None
    return Result(done=done, run_id=run_id, owner=caller.owner, hides_reasoning=hides)
