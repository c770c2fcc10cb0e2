"""The messages that a client sends over `/ws/chat`, and the scopes that they need."""

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from access.sockets.messages import Auth, Ref, parse
from chat.api.request_schemas import ChatIn
from tools.schemas import DecisionIn, ResultIn
from web.schemas import Strict

SCOPES: Final = {
    "chat": ("chat",),
    "cancel": ("chat",),
    "resume": ("chat",),
    "approve": ("approve",),
    "deny": ("approve",),
    "result": ("chat",),
    "follow": ("chat", "audit"),
}
"""The scopes of each type of message. A caller needs one of them."""


class Chat(ChatIn):
    type: Literal["chat"]
    idempotency_key: str = ""
    ref: Ref = ""


class Follow(Strict):
    type: Literal["follow"]
    run_id: UUID
    after: Annotated[int, Field(ge=0, le=2**31)] = 0
    ref: Ref = ""


class Cancel(Strict):
    type: Literal["cancel"]
    run_id: UUID
    ref: Ref = ""


class Resume(Strict):
    type: Literal["resume"]
    run_id: UUID
    ref: Ref = ""


class Decide(DecisionIn):
    type: Literal["approve", "deny"]
    execution_id: UUID
    ref: Ref = ""


class GiveResult(ResultIn):
    type: Literal["result"]
    execution_id: UUID
    ref: Ref = ""


Command = Chat | Follow | Cancel | Resume | Decide | GiveResult
Message = Auth | Command

_adapter: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def parse_message(text: str) -> Message:
    """Return the message. Raise `InvalidMessage`."""
    return parse(_adapter, text)
