"""Responses of an OpenAI-compatible service."""

import asyncio
import json
from typing import Any, Literal

from tests.fake_service import Reply

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"


def sse(*chunks: Json) -> bytes:
    """Encode the chunks as an event stream, with UTF-8 unescaped."""
    return "".join(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks).encode()


def delta(finish: str | None = None, **fields: Any) -> Json:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def said(*texts: str) -> bytes:
    return sse(*(delta(content=text) for text in texts))


def call(index: int | None, *, call_id: str = "", name: str = "", arguments: str = "") -> bytes:
    """Return a chunk with a piece of a tool call."""
    piece: Json = {"function": {"arguments": arguments} | ({"name": name} if name else {})}
    piece |= {} if index is None else {"index": index}
    piece |= {"id": call_id} if call_id else {}
    return sse(delta(tool_calls=[piece]))


def finish(reason: str = "stop") -> bytes:
    return sse(delta(reason))


def usage(**tokens: Any) -> bytes:
    return sse({"choices": [], "usage": tokens})


def streamed(
    *pieces: bytes, ending: Literal["end", "cut", "silence"] = "end", gate: asyncio.Event | None = None
) -> Reply:
    """Return an answer with one write per piece."""
    return Reply(headers={"Content-Type": "text/event-stream"}, pieces=pieces, ending=ending, gate=gate)


def refused(status: int, error: Any = None, headers: dict[str, str] | None = None) -> Reply:
    body = json.dumps({"error": error or {"message": "no"}}).encode()
    return Reply(status=status, headers=headers or {}, pieces=[body])
