"""Results of MCP servers as data: text and structured content. The bytes of other content are not kept."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from tools.base import ToolError
from tools.mcp_client.tool_set import visible

MAX_ERROR_CHARS: Final = 4_096
BASE64_BYTES: Final = (3, 4)
"""Bytes, and the characters of Base64 that hold them."""


def data_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a result, in the protocol's form. Raises `ToolError` if it reports an error."""
    parts = [part_text(part) for part in result.get("content") or []]
    text = "\n\n".join(part for part in parts if part)
    if result.get("isError"):
        raise ToolError(visible(text)[:MAX_ERROR_CHARS] or "The tool failed, and gave no reason.", code="failed")
    structured = result.get("structuredContent")
    if structured is None:
        # Always the same field, so that a model knows where to look.
        return {"text": text}
    with suppress(msgspec.DecodeError, RecursionError):
        # Servers repeat structured content as text for older clients. A model should read it once.
        if msgspec.json.decode(text) == structured:
            return {"structured": structured}
    return {"text": text, "structured": structured}


def part_text(part: Mapping[str, Any]) -> str:
    """Return a part of the content as text."""
    kind = part.get("type")
    if kind == "text":
        return str(part.get("text") or "")
    if kind in {"image", "audio"}:
        return f"[{kind}: {part.get('mimeType')}, {_size(part.get('data'))} bytes]"
    if kind == "resource_link":
        return f"[resource: {part.get('name')} at {part.get('uri')}]"
    resource = part.get("resource")
    if kind == "resource" and isinstance(resource, Mapping):
        if isinstance(resource.get("text"), str):
            return f"[resource: {resource.get('uri')}]\n{resource['text']}"
        return f"[resource: {resource.get('uri')}, {resource.get('mimeType')}, {_size(resource.get('blob'))} bytes]"
    return f"[content of the unknown type {str(kind)[:80]}]"


def _size(encoded: Any) -> int:
    """Return the bytes that a text in Base64 holds."""
    size, characters = BASE64_BYTES
    return len(str(encoded or "").rstrip("=")) * size // characters
