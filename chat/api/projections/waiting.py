"""The question that a run waits for, as far as its client has seen it."""

from uuid import UUID

from chat.engine.events import ApprovalRequired, ClientToolCall
from chat.wire.questions import Questions
from storage.reader import read
from tools.approvals import decisions
from tools.client_tools import results


async def waits_for(run_id: UUID, questions: Questions) -> ApprovalRequired | list[ClientToolCall] | None:
    """Return the question that a run waits for: an approval, or all calls of client tools. None if there is none."""
    # In a log that is read again, the answer may be part of the next frames.
    if (approval := questions.approval) is not None:
        return approval if await read(decisions.is_waiting, UUID(approval.execution_id)) else None
    waiting = await read(results.waiting_of, run_id) if questions.calls else frozenset()
    # All calls are recorded before the first is shown, so a missing event is still to come.
    if not waiting or not waiting <= questions.calls.keys():
        return None
    return [call for execution_id, call in questions.calls.items() if execution_id in waiting]
