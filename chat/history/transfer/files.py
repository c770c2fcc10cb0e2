"""The files that a session is exported as: JSON Lines, or one HTML page."""

from typing import Literal

import msgspec

from chat.history.transfer import page, records
from chat.history.transfer.records import MessageRecord, SessionRecord

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
