"""The reader of an answer that is a stream of server-sent events: what the streams of all services have in common."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from chat.engine.model_port import CompletionEvent, CompletionRequest, ProviderError, Thought
from chat.engine.text import whole_text
from chat.providers.refusals import read_body
from chat.wire.sse import END_OF_FRAME, Splitter

MAX_DOCUMENT_BYTES: Final = 8 * 2**20
"""Bytes of an answer that is one JSON document, or of a page instead of an answer."""

MAX_UNSEEN_CHARACTERS: Final = 8 * 2**20
"""Characters of reasoning and of calls in one answer. Text has the limits of the run."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class ReasoningText:
    """The reasoning of one answer while it arrives: `fresh` has the pieces that were not taken yet."""

    def __init__(self) -> None:
        self.fresh: list[str] = []
        self._taken: list[str] = []
        self._half = ""

    @property
    def whole(self) -> str:
        return "".join([*self._taken, *self.fresh])

    def add(self, text: str) -> None:
        # Two pieces may share a surrogate pair.
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        if text := text.removesuffix(self._half):
            self.fresh.append(whole_text(text))

    def take(self) -> Thought:
        """Return the fresh pieces as one."""
        piece, self.fresh = "".join(self.fresh), []
        self._taken.append(piece)
        return Thought(piece)

    def end(self) -> Iterator[Thought]:
        """Yield the rest, once the answer has ended."""
        if self._half:
            self.fresh.append(whole_text(self._half))
            self._half = ""
        if self.fresh:
            yield self.take()


class EventReader(ABC):
    """One answer of the service `name` while its bytes arrive. Its `reasoning` is taken from there.

    `begun` says that something of the answer arrived, `finished` that it has a finish reason: nothing that follows can
    fail it. After `done`, nothing more is read.
    """

    def __init__(self, name: str) -> None:
        self.begun = False
        self.reasoning = ReasoningText()
        self._name = name
        self._said = False
        self._failure: ProviderError | None = None
        self._half = ""
        self._restart()

    @property
    @abstractmethod
    def finished(self) -> bool: ...

    @abstractmethod
    def rest(self) -> Iterator[CompletionEvent]:
        """Yield the remaining events, once the stream has ended. Raise `ProviderError` if the answer failed."""

    @abstractmethod
    def read_ordinary(self, events: bytes, pieces: list[bytes]) -> bool:
        """Read events if each has a piece of text and no more, otherwise return False."""

    @abstractmethod
    def _read(self, events: bytes, pieces: list[bytes]) -> None:
        """Read whole events up to the first fault, which is raised as `ValueError` or `ProviderError`."""

    @abstractmethod
    def read_block(self, block: bytes, pieces: list[bytes]) -> None:
        """Read one event of any form."""

    def continuation(self) -> CompletionRequest | None:
        """Return the request after which a service continues an answer that it paused; None if it did not."""
        return None

    def take(self, segment: bytes) -> tuple[bytes, ...]:
        """Return the text pieces of the events that this segment completes. A failure is raised by `rest`."""
        if self._form != "events":
            segment = self._look_at_head(segment)
            if not segment:
                return ()
        pieces: list[bytes] = []
        try:
            events = self._splitter.whole(segment)
            if not self.read_ordinary(events, pieces):
                self._read(events, pieces)
            # Some services end an event with one line break, which shows once the next one begins.
            while self._splitter.waiting and not self.done:
                line = self._splitter.first_line()
                if not line or not is_value(line[len(b"data:") :].strip()):
                    break
                self._splitter.drop_line()
                self._read(line + END_OF_FRAME, pieces)
        # The errors of msgspec and of Unicode are ValueErrors too.
        except (ValueError, RecursionError) as error:
            self.fail(_not_a_chunk(error))
        if pieces and not self._said:
            self.begun = self._said = True
        return tuple(pieces)

    def fail(self, error: ProviderError) -> None:
        """Stop reading. The answer has failed, unless it has finished already."""
        self._failure = self._failure or error
        self.done = True

    def _check_end(self, *, empty: bool) -> None:
        """Raise the failure of an answer without a finish reason, if its stream did not end as it should."""
        if self._failure is not None:
            raise self._failure
        if not self.done:
            raise ProviderError("The answer was cut off.", code="provider_protocol", retryable=True)
        if empty:
            raise ProviderError("The answer was empty.", code="provider_protocol", retryable=True)

    def _restart(self) -> None:
        """Begin to read another stream."""
        self.done = False
        self._form: Literal["unknown", "events", "document"] = "unknown"
        self._document = b""
        self._splitter = Splitter()

    def _look_at_head(self, segment: bytes) -> bytes:
        """Return the bytes of events, once it is clear that the answer is a stream of events."""
        self._document += segment
        head = self._document.removeprefix(BYTE_ORDER_MARK).lstrip()
        if self._form == "unknown" and head and not BYTE_ORDER_MARK.startswith(self._document):
            # A line of an event stream begins with the name of a field or a colon.
            self._form = "document" if head.startswith((b"{", b"[", b"<")) else "events"
        if self._form == "events":
            self._document = b""
            return head
        if len(self._document) > MAX_DOCUMENT_BYTES:
            self.fail(_not_a_chunk(ValueError(f"an answer is longer than {MAX_DOCUMENT_BYTES} bytes")))
        return b""

    def _whole_piece(self, literal: bytes) -> bytes:
        """Return the inside of a JSON string literal without half of a surrogate pair, which waits for the other."""
        # Two deltas may share a pair.
        text = self._half + json.loads(literal)
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return _literal(text.removesuffix(self._half))

    def _last_pieces(self) -> list[bytes]:
        """Return the text of the last event and the text that was held back."""
        pieces: list[bytes] = []
        try:
            if self._form != "events":
                self._read_document(pieces)
            elif not self.done:
                for block in self._splitter.rest().split(END_OF_FRAME):
                    self.read_block(block, pieces)
        except (ValueError, RecursionError) as error:
            self.fail(_not_a_chunk(error))
        if self._half:
            half, self._half = self._half, ""
            pieces.append(_literal(half))
        self.begun = self.begun or bool(pieces)
        return pieces

    def _read_document(self, pieces: list[bytes]) -> None:
        """Read a body that is not a stream: a whole answer, an error, or a page that is neither."""
        text = self._document.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace").strip()
        if self._failure is not None or not text:
            return
        if text.startswith("<"):
            message = f"{self._name} sent {read_body(text).message} instead of an answer."
            self.fail(ProviderError(message, code="provider_protocol", retryable=True))
            return
        self.read_block(b"data: " + text.replace("\n", "\ndata: ").encode(), pieces)
        self.done = True


def unknown_end(name: str, reason: str) -> ProviderError:
    """Return the failure of an answer that the service `name` ended for a reason that is not a good one."""
    message = f"{name} ended the answer with the finish reason {whole_text(reason)[:80]!r}."
    return ProviderError(message, code="provider_unavailable", retryable=True)


def read_values(block: bytes) -> Iterator[Any]:
    """Yield the JSON values in the lines of one event. Raise `ValueError` if a value is not JSON.

    The value of an `error` line is `{"error": ...}`; that of `[DONE]` is the text.
    """
    lines = block.split(b"\n")
    named_error = any(line.startswith(b"event:") and line[6:].strip() == b"error" for line in lines)
    found = [line[5:].strip() for line in lines if line.startswith(b"data:")]
    # Data that begins with a colon is a comment that a proxy wrapped.
    found = [data for data in found if data and not data.startswith(b":")]
    if len(found) > 1 and not is_value(b"\n".join(found)):
        # Events that are separated by one line break.
        yield from map(_value, found)
    elif found:
        value = _value(b"\n".join(found))
        yield {"error": value} if named_error and isinstance(value, dict) and "error" not in value else value
    for line in lines:
        if line.startswith(b"error:"):
            text = line[6:].strip()
            yield {"error": _value(text) if is_value(text) else text.decode("utf-8", "replace")}


def is_value(data: bytes) -> bool:
    """Return whether the data of an event is whole."""
    try:
        _value(data)
    except ValueError:
        return False
    return True


def _value(data: bytes) -> Any:
    try:
        return data.decode() if data == b"[DONE]" else json.loads(data)
    except RecursionError as error:
        raise ValueError("a chunk is nested too deeply") from error


def _literal(text: str) -> bytes:
    """Return the text as a JSON string literal without its quotes."""
    return msgspec.json.encode(whole_text(text))[1:-1]


def _not_a_chunk(error: ValueError | RecursionError) -> ProviderError:
    return ProviderError(f"The service sent an invalid chunk: {error}.", code="provider_protocol", retryable=True)
