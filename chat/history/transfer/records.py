"""The records of a session: its head and its messages, as one JSON object a line.

A line has a `type`. The first is the `session`, and all others are its messages in their order. Ids and owners do not
leave the service: a summary names the messages that it stands for by their places, from 0.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from tools.base import TaintSource

MAX_METADATA_BYTES: Final = 16 * 1_024
"""Bytes of a session's metadata as JSON."""

ToolName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}\Z")]
Role = Literal["user", "assistant", "tool", "summary"]


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session"):
    """The head of a session. `taint` has the sources of the texts from outside in its messages, each with a tool."""

    version: Literal[1] = 1
    title: str = ""
    user: str = ""
    metadata: dict[str, Any] = {}
    taint: dict[TaintSource, ToolName] = {}
    created: datetime | None = None


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of a user's message. In JSON its bytes are base64."""

    media_type: str
    data: bytes


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A call of an assistant's message."""

    call_id: str
    name: str
    arguments: str


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of an answer, and its cost in USD if that is known."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    estimated: bool = False


class MessageRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="message"):
    """A message. Fields that do not apply to its role are left out.

    `provider_parts` are what a provider needs back verbatim. They are copied with a fork, and never leave the service.
    """

    role: Role
    content: str
    created: datetime | None = None
    pictures: tuple[Picture, ...] = ()
    tool_calls: tuple[Called, ...] = ()
    call_id: str = ""
    tool: str = ""
    is_error: bool = False
    summarizes: tuple[tuple[int, int], ...] = ()
    provider: str = ""
    model: str = ""
    usage: Used | None = None
    provider_parts: Any = None


Record = SessionRecord | MessageRecord
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


def line(record: Record) -> bytes:
    """Return a record as a line of JSON."""
    if isinstance(record, MessageRecord) and record.provider_parts is not None:
        record = msgspec.structs.replace(record, provider_parts=None)
    return _encode(record) + b"\n"


def record_of(text: bytes) -> Record:
    """Return the record in a line. Raises `msgspec.DecodeError`, whose text names the field."""
    record: Record = _decode(text)
    if isinstance(record, MessageRecord) and record.provider_parts is not None:
        return msgspec.structs.replace(record, provider_parts=None)
    return record
