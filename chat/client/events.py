"""A run's events as a client reads them: fields that it does not know are passed over, and so are types."""

from collections.abc import Iterator
from typing import Any

import msgspec

from chat.wire.sse import Splitter


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and their cost in USD, None where it is unknown; `estimated` where no service counted them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    estimated: bool = False


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One event; of its fields those are set that its `type` has (`docs/protocol.md`)."""

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
    spent: float = 0
    limit: float = 0
    usage: Tokens | None = None

    @property
    def is_last(self) -> bool:
        return self.type in {"end", "error"}


_decode = msgspec.json.Decoder(Frame).decode


def _frame(data: bytes) -> Frame:
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"what came is no event ({error})") from None


class Reader:
    """Reads a run's frames from bytes, however they are segmented; `last` is the number of the newest one."""

    def __init__(self) -> None:
        self.run_id = ""
        self.last = 0
        self._splitter = Splitter()

    def feed(self, segment: bytes) -> Iterator[Frame]:
        """The events that are complete now. Raises `ValueError` for what is no event."""
        for data in self._splitter.feed(segment):
            frame = _frame(data)
            self.last = 1 if frame.type == "start" else self.last + 1
            yield frame

    def cut(self) -> None:
        """The connection broke: what was read of an unfinished event comes again."""
        self._splitter = Splitter()
