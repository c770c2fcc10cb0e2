"""The client's answers to the questions of a run, in one form for all protocols: results of tools, and decisions."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from access.caller import Caller, require
from chat.engine.events import ApprovalRequired, ClientToolCall
from chat.history import queries
from chat.wire import sse
from storage.reader import read
from tools.approvals import decisions
from tools.approvals.api import decide
from tools.client_tools import results
from tools.client_tools.api import store_result
from web.errors import ApiError


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a client tool: its data, or its error."""

    data: Any = None
    error: str | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision about an approval. It is bound to the hash of the params that were shown."""

    verdict: decisions.Verdict
    params_sha256: str
    note: str = ""


Answers = Mapping[UUID, Result | Decision]
"""Answers by the ids of their executions."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A run that continues with answers, behind its event number `cursor`, the last question."""

    run_id: UUID
    cursor: int


async def run_of(answers: Answers, caller: Caller) -> UUID | None:
    """Return the run whose executions these are; None if they are not of one run of the caller."""
    runs = await read(results.runs_of, answers.keys(), caller.owner)
    return next(iter(runs)) if len(runs) == 1 else None


async def give(run_id: UUID, answers: Answers, caller: Caller) -> None:
    """Give all answers to a run. The same answers again change nothing.

    Raise `ApiError`: 403 without the scope `approve`, and 409 for another answer or a late one. If a result is missing,
    the run would wait for it: 422.
    """
    waiting = await read(results.waiting_of, run_id)
    if left := sorted(waiting - set(map(str, answers))):
        raise ApiError(422, "results_missing", f"The results of {', '.join(left)} are missing. Send all together.")
    if any(isinstance(answer, Decision) for answer in answers.values()):
        require(caller, ("approve",))
    for execution_id, answer in answers.items():
        if isinstance(answer, Result):
            await store_result(caller, execution_id, answer.data, answer.error)
        else:
            fields = {"params_sha256": answer.params_sha256, "note": answer.note}
            await decide(caller.owner, execution_id, answer.verdict, **fields)


async def answered(answers: Answers, caller: Caller) -> Answered | None:
    """Give all answers to the run that they are for; None if they are not of one run of the caller.

    Raise as `give`.
    """
    run_id = await run_of(answers, caller) if answers else None
    if run_id is None:
        return None
    cursor = await _asked_at(run_id, answers)
    await give(run_id, answers, caller)
    return Answered(run_id=run_id, cursor=cursor)


async def _asked_at(run_id: UUID, answers: Answers) -> int:
    """Return the number of the last event that asks for one of these answers; 0 if none is stored."""
    names, found, cursor = set(map(str, answers)), 0, 0
    while rows := await read(queries.frames_after, run_id, cursor):
        cursor = rows[-1][1]
        for number, _, frames in rows:
            for part in sse.stretches(frames):
                if isinstance(part, ApprovalRequired | ClientToolCall) and part.execution_id in names:
                    found = number
                number += part.count(sse.END_OF_FRAME) if isinstance(part, bytes) else 1  # noqa: PLW2901 - of its row
    return found
