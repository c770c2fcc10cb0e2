"""The messages that a client sends over `/ws/speech`. Audio is sent as binary messages between `listen` and `stop`."""

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from access.sockets.messages import Auth, Ref, parse
from speech.base import SPEEDS
from web.schemas import Strict

MIN_RATE: Final = 8_000
MAX_RATE: Final = 48_000
DEFAULT_RATE: Final = 16_000
MAX_TEXT_CHARACTERS: Final = 10_000
"""Characters of the text in one `speak` message."""

Name = Annotated[str, Field(min_length=1, max_length=128)]


class Listen(Strict):
    """Begin to transcribe. `rate` is in samples a second."""

    type: Literal["listen"]
    rate: Annotated[int, Field(ge=MIN_RATE, le=MAX_RATE)] = DEFAULT_RATE
    provider: Name | None = None
    model: Name | None = None
    language: Name | None = None
    barge_in: bool = True
    ref: Ref = ""


class Stop(Strict):
    """End the utterance, and listen no more."""

    type: Literal["stop"]
    ref: Ref = ""


class Speak(Strict):
    """A piece of the text of an answer. The options count in the first piece of each answer.

    `answer` is the client's name for the answer. By it, pieces of a discarded answer are known and refused.
    """

    type: Literal["speak"]
    answer: Name
    text: Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)] = ""
    end: bool = False
    provider: Name | None = None
    model: Name | None = None
    voice: Name | None = None
    format: Name = "mp3"
    speed: Annotated[float, Field(ge=SPEEDS[0], le=SPEEDS[1])] = 1.0
    ref: Ref = ""


class StopSpeaking(Strict):
    """Discard everything that is not spoken yet."""

    type: Literal["stop_speaking"]
    ref: Ref = ""


Command = Listen | Stop | Speak | StopSpeaking
Message = Auth | Command

_adapter: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def parse_message(text: str) -> Message:
    """Return the message. Raise `InvalidMessage`."""
    return parse(_adapter, text)
