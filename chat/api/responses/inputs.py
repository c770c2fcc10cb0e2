"""The input items of a response, from the stored messages and executions."""

from typing import Any
from uuid import UUID

import msgspec

from chat.api.responses.known import KnownResponse
from chat.engine.messages import AssistantMessage, Message, UserMessage
from chat.history.messages import messages_of_request
from chat.wire.chat_completions import CALL_ID
from chat.wire.responses import APPROVAL_ID
from storage.reader import read
from tools import queries


async def input_items(known: KnownResponse) -> list[dict[str, Any]]:
    """Return the items in their order: the messages of the request, or the answers to the response before."""
    if not known.part:
        messages = await read(messages_of_request, known.run.id)
        run = known.run.id.hex
        return [_message(f"{run}_{place}", message) for place, message in enumerate(messages)]
    before = await msgspec.structs.replace(known, part=known.part - 1).read()
    owner = known.request.owner
    return [
        item
        for asked in before.response["output"]
        if asked["type"] in {"function_call", "mcp_approval_request"}
        and (item := await _answer(asked, owner)) is not None
    ]


def _message(name: str, message: Message) -> dict[str, Any]:
    if isinstance(message, UserMessage | AssistantMessage):
        kind, role = ("input_text", "user") if isinstance(message, UserMessage) else ("output_text", "assistant")
        content = [{"type": kind, "text": message.text}]
        return {"type": "message", "id": f"msg_{name}", "role": role, "status": "completed", "content": content}
    output = {"call_id": message.call_id, "output": message.content, "status": "completed"}
    return {"type": "function_call_output", "id": f"fco_{name}", **output}


async def _answer(asked: dict[str, Any], owner: str) -> dict[str, Any] | None:
    """Return the client's answer to a call or an approval; None if it gave none."""
    is_call = asked["type"] == "function_call"
    name = asked["call_id"].removeprefix(CALL_ID) if is_call else asked["id"].removeprefix(APPROVAL_ID)[:32]
    row = await read(queries.execution, UUID(name), owner)
    if row is None:
        return None
    if is_call:
        data = row["data"] if isinstance(row["data"], str) else msgspec.json.encode(row["data"]).decode()
        output = {"call_id": asked["call_id"], "output": row["error"] or data, "status": "completed"}
        return {"type": "function_call_output", "id": f"fco_{name}", **output}
    if row["decision"] not in {"approved", "denied"}:
        return None
    decision = {"approval_request_id": asked["id"], "approve": row["decision"] == "approved", "reason": row["note"]}
    return {"type": "mcp_approval_response", "id": f"mcpa_{name}", **decision}
