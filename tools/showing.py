"""What a model is shown of a result: text, and no more of it than it can use."""

import hashlib
from typing import Any, Final

import msgspec

HEAD: Final = 3 / 4
"""The part of the room that the beginning gets; the end gets the rest."""


def show(data: Any, most: int) -> str:
    """The result as JSON of at most about `most` bytes: its head and its tail, with a note of what is missing."""
    text = msgspec.json.encode(_without_binary(data))
    if len(text) <= most:
        return text.decode()
    head = text[: int(most * HEAD)].decode("utf-8", "ignore")
    tail = text[len(text) - int(most * (1 - HEAD)) :].decode("utf-8", "ignore")
    note = f"[... {len(text) - most} bytes left out; ask for less at a time to see them ...]"
    return f"{head}\n{note}\n{tail}"


def _without_binary(data: Any) -> Any:
    """The same with its base64 replaced by a hash: no model can read it, and it costs as much as text."""
    if not isinstance(data, dict):
        return data
    binary = {name for name in data if name.endswith("_base64")}
    if data.get("encoding") == "base64":
        binary.add("content")
    return {name: _digest(value) if name in binary else value for name, value in data.items()}


def _digest(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return {"base64_sha256": hashlib.sha256(value.encode()).hexdigest(), "base64_size": len(value)}
