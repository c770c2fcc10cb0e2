"""Results of MCP servers as data."""

import base64
from typing import Any

import pytest

from tools.base import ToolError
from tools.mcp_client.results import MAX_ERROR_CHARS, data_of


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


@pytest.mark.parametrize("result", [{}, {"content": None}, {"content": []}, {"content": [text("")]}])
def test_empty_result_is_an_empty_text(result: dict[str, Any]) -> None:
    assert data_of(result) == {"text": ""}


def test_error_is_bounded_and_visible() -> None:
    with pytest.raises(ToolError) as caught:
        data_of({"isError": True, "content": [text("\x1b" + "x" * 100_000)]})
    assert len(str(caught.value)) == MAX_ERROR_CHARS
    assert str(caught.value).startswith("\ufffdx")
    with pytest.raises(ToolError, match="gave no reason"):
        data_of({"isError": True})


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1_000])
def test_bytes_are_not_kept(size: int) -> None:
    encoded = base64.b64encode(b"x" * size).decode()
    found = data_of({"content": [{"type": "image", "mimeType": "image/png", "data": encoded}]})
    assert found == {"text": f"[image: image/png, {size} bytes]"}


def test_resources_are_text() -> None:
    parts = [
        {"type": "resource_link", "name": "log", "uri": "file:///log"},
        {"type": "resource", "resource": {"uri": "a:b", "text": "hello"}},
        {"type": "resource", "resource": {"uri": "a:c", "mimeType": "x/y", "blob": "AAAA"}},
        {"type": "resource", "resource": None},
        {"type": "new"},
    ]
    assert data_of({"content": parts})["text"].split("\n\n") == [
        "[resource: log at file:///log]",
        "[resource: a:b]\nhello",
        "[resource: a:c, x/y, 3 bytes]",
        "[content of the unknown type resource]",
        "[content of the unknown type new]",
    ]


def test_structured_content_that_is_repeated_as_text_is_kept_once() -> None:
    assert data_of({"content": [text('{"a": 1}')], "structuredContent": {"a": 1}}) == {"structured": {"a": 1}}
    both = data_of({"content": [text("one")], "structuredContent": {"a": 1}})
    assert both == {"text": "one", "structured": {"a": 1}}
