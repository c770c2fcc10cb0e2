"""The messages between the service and a worker: MessagePack with a length prefix, on standard input and output."""

import struct
from typing import BinaryIO, Final

import msgspec

from retrieval.base import DocumentKind, Kind, Piece

LENGTH: Final = struct.Struct(">I")
# The largest message. A length beyond this means that the stream is corrupt.
MAX_BYTES: Final = 64 * 2**20


class Split(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A task: split a content into pieces."""

    kind: Kind
    data: bytes


class Embed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A task: return the vector of each text."""

    texts: list[str]


class Convert(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A task: return the text of a document of the web. `url` is the address of HTML, for its links."""

    kind: DocumentKind
    data: bytes
    url: str = ""


class Pieces(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Split`."""

    pieces: list[Piece]


class Vectors(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Embed`."""

    vectors: list[bytes]


class Converted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer to `Convert`. Markdown is the text of HTML."""

    title: str
    text: str


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer to a task that failed. A `fault` of the worker itself is the traceback, for the log."""

    error: str
    fault: str = ""


Task = Split | Embed | Convert
Answer = Pieces | Vectors | Converted | Failed

_encoder: Final = msgspec.msgpack.Encoder()
_tasks: Final = msgspec.msgpack.Decoder(Task)
_answers: Final = msgspec.msgpack.Decoder(Answer)


def send(file: BinaryIO, message: Task | Answer) -> None:
    """Write a message. Raises `OSError` if the other end is closed."""
    data = _encoder.encode(message)
    file.write(LENGTH.pack(len(data)) + data)
    file.flush()


def read_task(file: BinaryIO) -> Task | None:
    """Return the next task, or None at the end."""
    data = _read(file)
    return None if data is None else _tasks.decode(data)


def read_answer(file: BinaryIO) -> Answer | None:
    """Return the next answer, or None at the end."""
    data = _read(file)
    return None if data is None else _answers.decode(data)


def _read(file: BinaryIO) -> bytes | None:
    prefix = file.read(LENGTH.size)
    if len(prefix) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(prefix)
    data = file.read(size) if size <= MAX_BYTES else b""
    return data if len(data) == size else None
