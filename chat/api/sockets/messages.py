"""The messages that a client sends over `/ws/chat`, and the scopes that they need."""

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter, ValidationError

from chat.api.schemas import ChatIn
from tools.schemas import DecisionIn, ResultIn
from web import strict_json
from web.errors import ApiError
from web.schemas import Strict
from web.validation import invalid_fields

MAX_REF_CHARS: Final = 128

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

Ref = Annotated[str, Field(max_length=MAX_REF_CHARS)]


class Auth(Strict):
    type: Literal["auth"]
    key: Annotated[str, Field(max_length=1_024)]
    ref: Ref = ""


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


class InvalidMessage(Exception):
    """A message that is rejected with `refusal`. Its `ref` is returned if it could be read."""

    def __init__(self, refusal: ApiError, ref: str) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.ref = ref


def parse_message(text: str) -> Message:
    """Return the message. Raise `InvalidMessage`."""
    ref = ""
    try:
        raw = strict_json.loads(text.encode("utf-8", "surrogatepass"))
        ref = str(raw.get("ref", ""))[:MAX_REF_CHARS] if isinstance(raw, dict) else ""
        return _adapter.validate_python(raw)
    except strict_json.NotJson as error:
        raise InvalidMessage(ApiError(400, "invalid_json", str(error)), ref) from None
    except ValidationError as error:
        raise InvalidMessage(invalid_fields(error.errors()), ref) from None
