"""Read a whole answer with a provider's reader, for tests that cut the same bytes in different places."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from chat.engine.messages import ToolCall
from chat.engine.model_port import CompletionEvent, Finished, ProviderError, Text, Thought, TokensUsed
from chat.engine.transcript import decode_pieces
from chat.providers.event_reader import ReasoningText


class Reader(Protocol):
    """Reader of the segments of one answer, as each provider has one."""

    done: bool
    reasoning: ReasoningText

    def take(self, segment: bytes) -> list[bytes]: ...

    def rest(self) -> Iterator[CompletionEvent]: ...


class WholeAnswer(NamedTuple):
    """Everything that an answer says: its text, the names and arguments of its calls, its usage, and its end."""

    text: str
    calls: list[tuple[str, str]]
    used: TokensUsed | None
    end: Finished | ProviderError | None


def read_whole(reader: Reader, segments: Iterable[bytes]) -> WholeAnswer:
    """Return what the reader makes of an answer that arrives in these segments.

    The reasoning that is streamed must be the one that is stored.
    """
    pieces: list[bytes] = []
    thoughts: list[Thought] = []
    for segment in segments:
        pieces += reader.take(segment)
        thoughts += [reader.reasoning.take()] if reader.reasoning.fresh else []
        if reader.done:
            break
    calls: list[tuple[str, str]] = []
    used: TokensUsed | None = None
    end: Finished | ProviderError | None = None
    try:
        for event in reader.rest():
            if isinstance(event, Text):
                pieces += event.pieces
            elif isinstance(event, Thought):
                thoughts.append(event)
            elif isinstance(event, ToolCall):
                calls.append((event.name, event.arguments))
            elif isinstance(event, TokensUsed):
                used = event
            else:
                end = event
    except ProviderError as error:
        end = error
    if isinstance(end, Finished):
        stored = end.provider_parts.reasoning if end.provider_parts else ""
        assert "".join(thought.text for thought in thoughts) == stored
    return WholeAnswer(decode_pieces(pieces), calls, used, end)
