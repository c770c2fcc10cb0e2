"""The tool calls of a conversation in a form that a service takes, whichever service made them."""

import hashlib
import re

import msgspec

from tools.execution.arguments import decode_object


class SentIds:
    """The ids of the calls of one request, in which each id is unique and matches `valid`."""

    def __init__(self, valid: re.Pattern[str]) -> None:
        self._valid = valid
        self._used: set[str] = set()

    def new(self, call_id: str) -> str:
        """Return the id to send for a stored one, which is the same in every request."""
        sent, number = call_id, 0
        while sent in self._used or not self._valid.fullmatch(sent):
            sent = hashlib.sha256(f"{call_id} {number}".encode()).hexdigest()[:9]
            number += 1
        self._used.add(sent)
        return sent


def sent_arguments(written: str) -> bytes:
    """Return the arguments as the JSON of an object. The model's own text is kept if it is one."""
    try:
        if isinstance(msgspec.json.decode(written), dict):
            return written.encode()
    except (msgspec.DecodeError, RecursionError):
        pass
    given = decode_object(written)
    return msgspec.json.encode({"invalid_arguments": written} if given is None else given)
