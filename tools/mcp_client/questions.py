"""Questions that an MCP server asks during a call: each is an execution that waits for a decision.

The call keeps its process meanwhile, so its run does not wait. An approval sends the answer that the execution shows.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec
from django.utils import timezone

from storage.ids import new_id
from storage.reader import read
from storage.writer import writer
from tools import conf
from tools.approvals import decisions
from tools.base import Execution, ToolErrorCode
from tools.execution.request import params_sha256
from tools.execution.rows import Intent, Outcome, Status, close_execution, open_execution, start_execution
from tools.mcp_client.tool_set import visible
from tools.models import ToolExecution
from tools.output.masking import mapped

logger = logging.getLogger(__name__)

QUESTION: Final = "mcp.elicitation"
"""The tool of these executions. Nothing else can ask for it."""

MAX_MESSAGE_CHARS: Final = 2_000
MAX_ANSWER_CHARS: Final = 2_000
POLL_SECONDS: Final = 0.25


class _Field(msgspec.Struct, frozen=True):
    type: str = ""
    default: str | int | float | list[str] | bool | None = None


class _Form(msgspec.Struct, frozen=True):
    properties: dict[str, _Field] = {}
    required: tuple[str, ...] = ()


def answer_to(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the answer that an approval gives to a form: its defaults, and true for its flags.

    None if the form requires anything else: a decision is a yes or a no, and has no text. None also if its answer
    cannot be shown exactly.
    """
    try:
        form = msgspec.convert(schema, _Form)
    except msgspec.ValidationError:
        return None
    answer: dict[str, Any] = {}
    for name, field in form.properties.items():
        if field.default is not None:
            answer[name] = field.default
        elif field.type == "boolean":
            answer[name] = True
        elif name in form.required:
            return None
    encoded = msgspec.json.encode(answer).decode()
    return answer if len(encoded) <= MAX_ANSWER_CHARS and mapped(answer, visible) == answer else None


async def ask(server: str, execution: Execution, message: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the answer to a question once it is approved; None if it is denied, or can be answered by no decision."""
    answer = answer_to(schema)
    # Without a memory nothing is stored, so nothing can wait.
    if answer is None or execution.memory is None:
        return None
    masker = conf.masker()
    shown = masker.text(visible(message))[:MAX_MESSAGE_CHARS]
    params = {"server": server, "message": shown, "answer": answer}
    now, payer = timezone.now(), execution.payer
    intent = Intent(
        execution_id=new_id(),
        owner=payer.owner,
        session_id=payer.session_id,
        run_id=payer.run_id,
        call_id="",
        tool=QUESTION,
        source="model",
        params=params,
        params_sha256=params_sha256(params),
        confinement="mcp",
        created=now,
        status=Status.AWAITING_APPROVAL,
        # The question itself is a text from outside.
        taint={"mcp": f"mcp.{server}"},
        expires=now + timedelta(seconds=conf.approval_seconds()),
    )
    await writer.write(partial(open_execution, intent))
    fields = {"owner": payer.owner, "key": payer.key, "run": str(payer.run_id or "")}
    logger.info("approval.asked", extra={"execution": str(intent.execution_id), "tool": QUESTION, **fields})
    is_answered = False
    try:
        note = f"{server} asks: {shown}\nThe call waits for a decision about the execution {intent.execution_id}.\n"
        await execution.emit("stdout", note)
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if await read(_is_decided, intent.execution_id):
                break
        is_answered = await writer.write(partial(_settle, intent, answer))
    except asyncio.CancelledError:
        # The call is over, so a decision would have no effect.
        await asyncio.shield(writer.write(partial(_withdraw, intent)))
        raise
    return answer if is_answered else None


def _is_decided(execution_id: UUID) -> bool:
    waits = ToolExecution.objects.filter(id=execution_id, status=Status.AWAITING_APPROVAL, decision="")
    return not waits.filter(expires__gt=timezone.now()).exists()


def _settle(intent: Intent, answer: dict[str, Any]) -> bool:
    """Close the execution of a question by its decision, and return whether it was approved."""
    approval = decisions.settle(intent.execution_id, timezone.now())
    is_approved = approval is not None and approval.decision == "approved"
    if is_approved and start_execution(intent.execution_id, intent.created):
        close_execution(_outcome(intent, {"answer": answer}, "", None))
        return True
    close_execution(_outcome(intent, None, "The question was not approved.", "denied"), Status.AWAITING_APPROVAL)
    return False


def _withdraw(intent: Intent) -> None:
    decisions.settle(intent.execution_id, timezone.now(), cancelled=True)
    error = "The call ended before the question was decided."
    close_execution(_outcome(intent, None, error, "cancelled"), Status.AWAITING_APPROVAL)


def _outcome(intent: Intent, data: Any, error: str, code: ToolErrorCode | None) -> Outcome:
    now = timezone.now()
    milliseconds = (now - intent.created) / timedelta(milliseconds=1)
    return Outcome(
        execution_id=intent.execution_id, data=data, error=error, code=code, ended=now, duration_ms=milliseconds
    )
