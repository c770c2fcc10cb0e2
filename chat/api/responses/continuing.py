"""The client's answers in a request for a response: they continue the run that waits for them."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from access.caller import Caller, require
from chat.api.responses.items import Answer, text_of
from chat.api.responses.known import KnownResponse
from chat.api.responses.schemas import ApprovalItem, CallOutputItem
from chat.wire.chat_completions import CALL_ID
from chat.wire.responses import APPROVAL_ID, response_id
from storage.reader import read
from tools.approvals.api import decide
from tools.approvals.decisions import Verdict
from tools.client_tools import results
from tools.client_tools.api import store_result
from web.errors import ApiError

HEX_CHARS: Final = 32
HASH_START: Final = len(APPROVAL_ID) + HEX_CHARS + 1
"""The place of the hash of the params in the id of an approval request, behind the execution's id and `_`."""


async def continued(given: Sequence[Answer], previous_id: str | None, caller: Caller) -> KnownResponse | None:
    """Give the answers to the run that waits for them, and return its next response.

    Without a `previous_id`, return None if no run waits for exactly these results: then they are part of a conversation
    that the client keeps. Raise `ApiError` (403, 404, 409, 422).
    """
    executions = {_execution(item): item for item in given}
    decides = any(isinstance(item, ApprovalItem) for item in given)
    if previous_id is not None:
        previous = await KnownResponse.find(previous_id, caller)
        if await read(results.runs_of, executions.keys(), caller.owner) != {previous.run.id}:
            raise ApiError(422, "invalid_field", f"input: an answer is not for a call of {previous_id[:80]}.")
    elif (found := await _waiting(executions, caller)) is not None:
        previous = found
    elif decides:
        raise ApiError(422, "invalid_field", "input: no run waits for the approval_request_id.")
    else:
        return None
    waiting = await read(results.waiting_of, previous.run.id)
    if left := waiting - set(map(str, executions)):
        names = ", ".join(f"{CALL_ID}{UUID(one).hex}" for one in sorted(left))
        raise ApiError(422, "invalid_field", f"input: the results of {names} are missing. Send all together.")
    if decides:
        require(caller, ("approve",))
    for execution_id, item in executions.items():
        if isinstance(item, CallOutputItem):
            await store_result(caller, execution_id, text_of(item.output), None)
            continue
        verdict: Verdict = "approved" if item.approve else "denied"
        params_sha256 = item.approval_request_id[HASH_START:]
        await decide(caller.owner, execution_id, verdict, params_sha256=params_sha256, note=item.reason or "")
    return msgspec.structs.replace(previous, part=previous.part + 1)


async def _waiting(executions: Mapping[UUID, Answer], caller: Caller) -> KnownResponse | None:
    """Return the newest response of the run that waits for exactly these answers."""
    runs = await read(results.runs_of, executions.keys(), caller.owner)
    run_id = next(iter(runs))
    if run_id is None or len(runs) > 1:
        return None
    calls = {str(one) for one, item in executions.items() if isinstance(item, CallOutputItem)}
    if calls != await read(results.waiting_of, run_id):
        return None
    first = await KnownResponse.find(response_id(run_id, 0), caller)
    return msgspec.structs.replace(first, part=await first.newest_part())


def _execution(item: Answer) -> UUID:
    """Return the execution of an answer; one that does not exist if the id is of another form."""
    if isinstance(item, CallOutputItem):
        text = item.call_id.removeprefix(CALL_ID)
    else:
        text = item.approval_request_id.removeprefix(APPROVAL_ID)[:HEX_CHARS]
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
