"""The steps that a flow asks a client to perform, and their results."""

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from orchestrator_client.core.errors import ProtocolError
from orchestrator_client.core.requests import Request

Answer = TypeVar("Answer")

MAX_ANSWER_BYTES: Final = 64 * 2**20


class Cut(Exception):
    """The connection broke, or could not be opened. If it was `reached`, the service may have got the request."""

    def __init__(self, why: str, *, reached: bool, retry_after: float = 0) -> None:
        super().__init__(why)
        self.reached = reached
        self.retry_after = retry_after


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a response. The names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """Send a request and keep its response as the open one. The result is its `Head`."""

    request: Request


class Receive(msgspec.Struct, frozen=True):
    """Return the next bytes of the open response; empty at its end."""


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """Send a request beside the open response. The result is a `Head` and the whole body, up to `MAX_ANSWER_BYTES`."""

    request: Request


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Wait this many seconds."""

    seconds: float


class Invoke(msgspec.Struct, frozen=True, kw_only=True):
    """Call a function of the caller. The result is its value."""

    function: Callable[..., Any]
    argument: Any


class Emit(msgspec.Struct, frozen=True, kw_only=True):
    """Give a value to the caller."""

    value: Any


Step = Open | Receive | Fetch | Wait | Invoke | Emit
Steps = Generator[Step, Any, Answer]


class Body:
    """Collects a body, up to `MAX_ANSWER_BYTES`."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > MAX_ANSWER_BYTES:
            raise ProtocolError(f"The answer is longer than {MAX_ANSWER_BYTES:,} bytes, which is the limit.")

    def whole(self) -> bytes:
        return b"".join(self._pieces)


def advance(steps: Steps[None], result: Any, cut: Cut | None) -> Step | None:
    """Give a flow the result of its step, or the `cut`, and return the next step. None is the end."""
    try:
        return steps.throw(cut) if cut else steps.send(result)
    except StopIteration:
        return None
