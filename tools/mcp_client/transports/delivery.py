"""The delivery of one call: whether the server may have received it, and what came back."""

from contextvars import ContextVar
from typing import Any


class AnswerRefused(Exception):
    """An answer of a server is not accepted. The message says why."""


class TooLarge(AnswerRefused):
    """An answer has more bytes than are allowed."""


class Delivery:
    """The delivery of one call. It is found by the context of the task that makes the call, which the SDK keeps.

    `sent` is whether the server may have received the call, and `status` the HTTP status of the newest POST. The
    `problem` is that of an answer that was not accepted. The session has ended if the server no longer knows it.
    `declined` are questions of the server that were declined.
    """

    def __init__(self) -> None:
        self.sent = False
        self.status: int | None = None
        self.problem: AnswerRefused | None = None
        self.session_ended = False
        self.declined: list[str] = []


current: ContextVar[Delivery] = ContextVar("mcp_delivery")


def delivery() -> Delivery:
    """Return the delivery of the running call; an unused one outside of calls."""
    return current.get(None) or Delivery()


def is_call(message: Any) -> bool:
    """Return whether a message, in the protocol's form, asks for an effect: it is made at most once."""
    return isinstance(message, dict) and message.get("method") == "tools/call"
