"""The events of a run, as a client reads them. Unknown fields and types are ignored."""

from collections.abc import Iterator
from typing import Any

import msgspec

from chat.wire.sse import Splitter


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and their cost in USD, None if unknown. They are `estimated` if no service reported them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    estimated: bool = False


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One event of any type (`docs/protocol.md`). The fields of other types have their defaults."""

    type: str
    run_id: str | None = None
    session_id: str | None = None
    provider: str | None = None
    model: str | None = None
    token: str = ""
    tool: str = ""
    execution_id: str = ""
    params_sha256: str = ""
    expires_at: str = ""
    decision: str = ""
    params: Any = None
    data: Any = None
    text: str = ""
    error: str = ""
    code: str = ""
    retryable: bool = False
    reason: str = ""
    next_provider: str = ""
    scope: str = ""
    span: str = ""
    unit: str = ""
    before: int = 0
    after: int = 0
    summarized: int = 0
    spent: float = 0
    limit: float = 0
    usage: Tokens | None = None

    @property
    def is_last(self) -> bool:
        return self.type in {"end", "error"}


_decode = msgspec.json.Decoder(Frame).decode


class Reader:
    """Reads a run's frames from bytes, however they are segmented. `last` is the number of the newest one."""

    def __init__(self) -> None:
        self.run_id = ""
        self.last = 0
        self._splitter = Splitter()

    def feed(self, segment: bytes) -> Iterator[Frame]:
        """Yield the events that are complete now. Raise `ValueError` if the bytes are not events."""
        for data in self._splitter.feed(segment):
            try:
                frame = _decode(data)
            except msgspec.DecodeError as error:
                raise ValueError(f"the service sent an invalid event ({error})") from None
            # A rebuilt log begins again at 1.
            self.last = 1 if frame.type == "start" else self.last + 1
            yield frame

    def cut(self) -> None:
        """Drop the part of an unfinished event, which is sent again after the connection broke."""
        self._splitter = Splitter()
