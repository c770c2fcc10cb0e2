"""Read a whole answer with a provider's reader, for tests that cut the same bytes in different places."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from chat.engine.messages import ToolCall
from chat.engine.model_port import CompletionEvent, Finished, ProviderError, Text, TokensUsed
from chat.engine.transcript import decode_pieces


class Reader(Protocol):
    """Reader of the segments of one answer, as each provider has one."""

    done: bool

    def take(self, segment: bytes) -> list[bytes]: ...

    def rest(self) -> Iterator[CompletionEvent]: ...


class WholeAnswer(NamedTuple):
    """Everything that an answer says: its text, the names and arguments of its calls, its usage, and its end."""

    text: str
    calls: list[tuple[str, str]]
    used: TokensUsed | None
    end: Finished | ProviderError | None


def read_whole(reader: Reader, segments: Iterable[bytes]) -> WholeAnswer:
    """Return what the reader makes of an answer that arrives in these segments."""
    pieces: list[bytes] = []
    for segment in segments:
        pieces += reader.take(segment)
        if reader.done:
            break
    calls: list[tuple[str, str]] = []
    used: TokensUsed | None = None
    end: Finished | ProviderError | None = None
    try:
        for event in reader.rest():
            if isinstance(event, Text):
                pieces += event.pieces
            elif isinstance(event, ToolCall):
                calls.append((event.name, event.arguments))
            elif isinstance(event, TokensUsed):
                used = event
            else:
                end = event
    except ProviderError as error:
        end = error
    return WholeAnswer(decode_pieces(pieces), calls, used, end)
