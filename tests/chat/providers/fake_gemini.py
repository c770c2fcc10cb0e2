"""Responses of a Gemini service."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Literal

from tests.fake_service import Reply

Json = dict[str, Any]


def sse(*chunks: Json, newline: str = "\r\n") -> bytes:
    """Encode the chunks as an event stream, with UTF-8 unescaped, as the service does."""
    return "".join(f"data: {json.dumps(chunk, ensure_ascii=False)}{newline}{newline}" for chunk in chunks).encode()


def streamed(*chunks: Json, ending: Literal["end", "cut", "silence"] = "end") -> Reply:
    """Return a successful answer with one write per chunk."""
    return Reply(headers={"Content-Type": "text/event-stream"}, pieces=[sse(c) for c in chunks], ending=ending)


def refused(
    status: int, message: str = "no", *, headers: dict[str, str] | None = None, details: Sequence[Json] = ()
) -> Reply:
    """Return an error in the format of https://cloud.google.com/apis/design/errors."""
    error = {"code": status, "message": message, "status": HTTPStatus(status).name, "details": list(details)}
    return Reply(status=status, headers=headers or {}, pieces=[json.dumps({"error": error}).encode()])


def said(*parts: Json | str, finish: str | None = None, usage: Json | None = None) -> Json:
    """Return a chunk with these parts; a string is a text part."""
    content = {"role": "model", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}
    candidate = {"index": 0, "content": content} | ({"finishReason": finish} if finish else {})
    return {"candidates": [candidate], "modelVersion": "m"} | ({"usageMetadata": usage} if usage else {})


def called(name: str, *, signature: str | None = None, call_id: str | None = None, **args: object) -> Json:
    """Return a part with a function call."""
    call = {"name": name, "args": args} | ({"id": call_id} if call_id else {})
    return {"functionCall": call} | ({"thoughtSignature": signature} if signature else {})
