"""The files that a session is exported as: JSON Lines, or one HTML page."""

from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from chat.history.transfer import page, records
from chat.history.transfer.reading import SessionReader
from chat.history.transfer.records import MessageRecord, SessionRecord
from storage.reader import read

Kind = Literal["jsonl", "html"]


class SessionFile(msgspec.Struct, frozen=True):
    """The parts of a file of a kind, in their order."""

    kind: Kind

    def begin(self, head: SessionRecord) -> bytes:
        return page.head(head).encode() if self.kind == "html" else records.line(head)

    def message(self, message: MessageRecord) -> bytes:
        return page.article(message).encode() if self.kind == "html" else records.line(message)

    def end(self) -> bytes:
        return page.FOOT.encode() if self.kind == "html" else b""


async def exported(reader: SessionReader, head: SessionRecord, file: SessionFile) -> AsyncIterator[bytes]:
    """Yield the file of a session, a page of messages at a time."""
    yield file.begin(head)
    while messages := await read(reader.page):
        yield b"".join(map(file.message, messages))
    yield file.end()
