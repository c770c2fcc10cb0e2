"""The results of client tools in a conversation of OpenAI's form: they continue the run that waits for them."""

from collections.abc import Sequence
from itertools import takewhile
from uuid import UUID

import msgspec

from access.caller import Caller
from chat.api.openai.requests import text_of
from chat.api.openai.schemas import MessageIn
from chat.history import queries
from chat.wire.chat_completions import CALL_ID
from storage.reader import read
from tools.client_tools import results
from tools.client_tools.api import store_result


class Continued(msgspec.Struct, frozen=True, kw_only=True):
    """A run that continues with the results of a request, behind its event number `cursor`."""

    run_id: UUID
    session_id: str
    cursor: int


async def continued(messages: Sequence[MessageIn], caller: Caller) -> Continued | None:
    """Give the newest results to the run that waits for all of them; return None if there is no such run.

    Then the conversation begins a run of its own, as it was sent. Raise `ApiError` (404, 409).
    """
    given: dict[UUID, str] = {}
    for message in takewhile(lambda one: one.role == "tool", reversed(messages)):
        try:
            given[UUID((message.tool_call_id or "").removeprefix(CALL_ID))] = text_of(message)
        except ValueError:
            return None
    run_id = await read(results.run_waiting_for, given.keys(), caller.owner) if given else None
    if run_id is None:
        return None
    run, log = await read(queries.run, run_id, caller.owner), await read(queries.log, run_id, caller.owner)
    if run is None or log is None:
        return None
    for execution_id, text in given.items():
        await store_result(caller, execution_id, text, None)
    return Continued(run_id=run_id, session_id=str(run["session_id"]), cursor=log.last)
