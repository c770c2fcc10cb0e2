"""The messages of clients over a WebSocket: JSON objects with a `type`, and an optional `ref` for the reply."""

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from web import strict_json
from web.errors import ApiError
from web.schemas import Strict
from web.validation import invalid_fields

MAX_REF_CHARS: Final = 128

Message = TypeVar("Message")
Ref = Annotated[str, Field(max_length=MAX_REF_CHARS)]


class Auth(Strict):
    type: Literal["auth"]
    key: Annotated[str, Field(max_length=1_024)]
    ref: Ref = ""


class InvalidMessage(Exception):
    """A message that is rejected with `refusal`. Its `ref` is returned if it could be read."""

    def __init__(self, refusal: ApiError, ref: str) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.ref = ref


def parse(adapter: TypeAdapter[Message], text: str) -> Message:
    """Return the message. Raise `InvalidMessage`."""
    ref = ""
    try:
        raw: Any = strict_json.loads(text.encode("utf-8", "surrogatepass"))
        ref = str(raw.get("ref", ""))[:MAX_REF_CHARS] if isinstance(raw, dict) else ""
        return adapter.validate_python(raw)
    except strict_json.NotJson as error:
        raise InvalidMessage(ApiError(400, "invalid_json", str(error)), ref) from None
    except ValidationError as error:
        raise InvalidMessage(invalid_fields(error.errors()), ref) from None
