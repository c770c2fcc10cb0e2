"""The client's answers in a request for a response: they continue the run that waits for them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from access.caller import Caller
from chat.api.projections.answers import Answers, Decision, Result, give, run_of
from chat.api.responses.items import Answer, text_of
from chat.api.responses.known import KnownResponse
from chat.api.responses.schemas import CallOutputItem
from chat.wire.chat_completions import CALL_ID
from chat.wire.responses import APPROVAL_ID, response_id
from storage.reader import read
from tools.client_tools import results
from web.errors import ApiError

HEX_CHARS: Final = 32
HASH_START: Final = len(APPROVAL_ID) + HEX_CHARS + 1
"""The place of the hash of the params in the id of an approval request, behind the execution's id and `_`."""


async def continued(given: Sequence[Answer], previous_id: str | None, caller: Caller) -> KnownResponse | None:
    """Give the answers to the run that waits for them, and return its next response.

    Without a `previous_id`, return None if no run waits for exactly these results: then they are part of a conversation
    that the client keeps. Raise `ApiError` (403, 404, 409, 422).
    """
    answers = dict(map(_answer, given))
    run_id = await run_of(answers, caller)
    if previous_id is not None:
        previous = await KnownResponse.find(previous_id, caller)
        if run_id != previous.run.id:
            raise ApiError(422, "invalid_field", f"input: an answer is not for a call of {previous_id[:80]}.")
    elif (found := await _waiting(run_id, answers, caller)) is not None:
        previous = found
    elif any(isinstance(answer, Decision) for answer in answers.values()):
        raise ApiError(422, "invalid_field", "input: no run waits for the approval_request_id.")
    else:
        return None
    await give(previous.run.id, answers, caller)
    return msgspec.structs.replace(previous, part=previous.part + 1)


async def _waiting(run_id: UUID | None, answers: Answers, caller: Caller) -> KnownResponse | None:
    """Return the newest response of a run that waits for exactly these results, or for these decisions."""
    if run_id is None:
        return None
    calls = {str(one) for one, answer in answers.items() if isinstance(answer, Result)}
    if calls != await read(results.waiting_of, run_id):
        return None
    first = await KnownResponse.find(response_id(run_id, 0), caller)
    return msgspec.structs.replace(first, part=await first.newest_part())


def _answer(item: Answer) -> tuple[UUID, Result | Decision]:
    """Return the execution of an answer, which does not exist if the id is of another form, and the answer."""
    if isinstance(item, CallOutputItem):
        name = item.call_id.removeprefix(CALL_ID)
        answer: Result | Decision = Result(data=text_of(item.output))
    else:
        name = item.approval_request_id.removeprefix(APPROVAL_ID)[:HEX_CHARS]
        answer = Decision(
            verdict="approved" if item.approve else "denied",
            params_sha256=item.approval_request_id[HASH_START:],
            note=item.reason or "",
        )
    try:
        return UUID(name), answer
    except ValueError:
        return UUID(int=0), answer
