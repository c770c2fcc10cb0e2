"""Responses of Anthropic's Messages API."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from tests.fake_service import FakeService, Json, Recorded, Reply

STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
SIGNED = ("thinking", "redacted_thinking")


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def started(**usage: int) -> bytes:
    message: Json = {"id": "msg_1", "role": "assistant", "content": [], "stop_reason": None, "usage": usage}
    return event("message_start", message=message)


def block(index: int, start: Json, *deltas: Json) -> bytes:
    """Return a whole block: its start, its deltas and its end."""
    pieces = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    return b"".join(
        (
            event("content_block_start", index=index, content_block=start),
            *pieces,
            event("content_block_stop", index=index),
        )
    )


def said(index: int, *texts: str) -> bytes:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": text} for text in texts))


def thought(index: int, *texts: str, signature: str) -> bytes:
    deltas: list[Json] = [{"type": "thinking_delta", "thinking": text} for text in texts]
    signed = {"type": "signature_delta", "signature": signature}
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas, signed)


def called(index: int, call_id: str, name: str, *pieces: str) -> bytes:
    start = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    return block(index, start, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def ended(reason: str | None = "end_turn", details: Json | None = None, **usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": reason, "stop_details": details}, usage=usage)


def failed(kind: str, message: str) -> bytes:
    return event("error", error={"type": kind, "message": message})


def streamed(*pieces: bytes, **options: Any) -> Reply:
    """Return an answer with one write per piece."""
    return Reply(headers={"Content-Type": "text/event-stream"}, pieces=pieces, **options)


def refused(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> Reply:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    return Reply(status=status, headers=headers or {}, pieces=[body])


def unmarked(value: Any) -> Any:
    """Return JSON without the marks of the cache, which are not part of a prompt."""
    if isinstance(value, dict):
        return {name: unmarked(field) for name, field in value.items() if name != "cache_control"}
    return [unmarked(item) for item in value] if isinstance(value, list) else value


class SigningService(FakeService):
    """A service that thinks, calls a tool in each step, and refuses each signed block that it did not write there.

    Each answer is thinking, redacted thinking, text, and two calls, until `steps` answers were given. `signed` has the
    number of signed blocks in each request. A request number in `overloaded` is refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.overloaded: set[int] = set()
        self.signed: list[int] = []
        self._signatures: dict[str, str] = {}

    def reply_to(self, request: Recorded) -> Reply:
        number = len(self.requests)
        self.signed.append(0)
        model, messages = request.body["model"], unmarked(request.body["messages"])
        for place, message in enumerate(messages):
            for at, block in enumerate(message["content"]):
                if block["type"] in SIGNED:
                    self.signed[-1] += 1
                    before = [*messages[:place], message["content"][:at]]
                    known = self._signatures.get(json.dumps(block))
                    if known != _digest(model, before):
                        return refused(400, "invalid_request_error", f"Invalid `signature` in block {place}.{at}")
        if number in self.overloaded:
            return refused(529, "overloaded_error", "Overloaded")
        self.steps -= 1
        if self.steps <= 0:
            return streamed(started(input_tokens=9), said(0, "Done."), ended(output_tokens=3), STOP)
        return self._step(number, model, messages)

    def _step(self, number: int, model: str, messages: Sequence[Json]) -> Reply:
        thinking = {"type": "thinking", "thinking": f'Hm… \\ "{number}" 😀\n', "signature": f"sig/{number}+=="}
        redacted = {"type": "redacted_thinking", "data": f"opaque/{number}=="}
        self._signatures[json.dumps(thinking)] = _digest(model, [*messages, []])
        self._signatures[json.dumps(redacted)] = _digest(model, [*messages, [thinking]])
        return streamed(
            started(input_tokens=9),
            thought(0, "Hm… \\ ", f'"{number}" 😀\n', signature=f"sig/{number}+=="),
            block(1, redacted) + said(2, "Looking", " …"),
            called(3, f"toolu_{number}a", "read_one", '{"b": 1,', ' "a": 2.0}'),
            called(4, f"toolu_{number}b", "read_two"),
            ended("tool_use", output_tokens=5) + STOP,
        )


def _digest(model: str, before: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps([model, before]).encode()).hexdigest()
