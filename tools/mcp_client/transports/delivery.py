"""The delivery of one call: whether the server may have received it, and what came back."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any


class AnswerRefused(Exception):
    """An answer of a server is not accepted. The message says why."""


class TooLarge(AnswerRefused):
    """An answer has more bytes than are allowed."""


Ask = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any] | None]]
"""Returns the answer to a question, by its message and the schema of its form; None to decline it."""


async def no_answer(message: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Decline a question."""
    return None


class Delivery:
    """The delivery of one call. It is found by the context of the task that makes the call, which the SDK keeps.

    `sent` is whether the server may have received the call, and `status` the HTTP status of the newest POST. The
    `problem` is that of an answer that was not accepted. The session has ended if the server no longer knows it.
    `ask` answers a question of the server during the call, and `declined` are those that were declined.
    """

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.sent = False
        self.status: int | None = None
        self.problem: AnswerRefused | None = None
        self.session_ended = False
        self.declined: list[str] = []


current: ContextVar[Delivery] = ContextVar("mcp_delivery")


def delivery() -> Delivery:
    """Return the delivery of the running call; an unused one outside of calls."""
    return current.get(None) or Delivery(no_answer)


def is_call(message: Any) -> bool:
    """Return whether a message, in the protocol's form, asks for an effect: it is made at most once."""
    return isinstance(message, dict) and message.get("method") == "tools/call"
