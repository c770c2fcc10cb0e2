"""The request of a call: its URL, its header fields and its body."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from tools.base import ToolError
from tools.http_tools.operations import BODY, FORM, PLACEHOLDER, TEXT, Operation, Param

MAX_URL: Final = 8_000
FOLDERS: Final = frozenset({".", ".."})
SLASH: Final = re.compile(r"[/\\]")
DELIMITERS: Final = {"spaceDelimited": " ", "pipeDelimited": "|"}


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a service. `headers` are only those of the params."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


def request_of(operation: Operation, server: str, given: Mapping[str, Any]) -> HttpRequest:
    """Return the request for valid params. Raises `ToolError` (`invalid_params`)."""
    path, query, headers = operation.path, list[tuple[str, str]](), dict[str, str]()
    segments: dict[str, str] = {}
    for param in operation.params:
        if param.name not in given or (given[param.name] is None and param.location != "path"):
            continue
        value = given[param.name]
        if param.location == "query":
            query += _query(param, value)
        elif param.location == "header":
            text = ",".join(map(_text, value if isinstance(value, list) else [value]))
            if not text.isascii() or not text.isprintable():
                problem = f"{param.name} has a character that an HTTP header cannot have."
                raise ToolError(problem, code="invalid_params")
            headers[param.wire] = text
        else:
            segments[param.wire] = _segment(param, value)
    path = PLACEHOLDER.sub(lambda match: segments[match[1]], path)
    url = server.rstrip("/") + path + ("?" + urlencode(query, errors="replace") if query else "")
    if len(url) > MAX_URL:
        raise ToolError(f"The URL would be longer than {MAX_URL} characters. Give less.", code="invalid_params")
    body = _encoded(operation.body, given[BODY]) if BODY in given and operation.body else None
    if body is not None:
        headers["Content-Type"] = operation.body if operation.body != TEXT else f"{TEXT}; charset=utf-8"
    return HttpRequest(method=operation.method, url=url, headers=headers, body=body)


def _segment(param: Param, value: Any) -> str:
    """Return a value within the path. It cannot begin another segment, or lead to another folder."""
    if isinstance(value, dict):
        text = ",".join(f"{key},{_text(item)}" for key, item in value.items())
    else:
        text = ",".join(map(_text, value if isinstance(value, list) else [value]))
    # `.` and `..` mean a folder. A server may decode a path before it takes those out, and some read a backslash as a
    # slash, and nothing behind a semicolon.
    if not text or any(part.partition(";")[0] in FOLDERS for part in SLASH.split(text)):
        raise ToolError(f"{param.name} is part of the path, so it must not be {text!r}.", code="invalid_params")
    return quote(text, safe="", errors="replace")


def _query(param: Param, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if param.style == "deepObject":
                yield f"{param.wire}[{key}]", _text(item)
            elif param.explode:
                yield key, _text(item)
        if param.style != "deepObject" and not param.explode:
            yield param.wire, ",".join(f"{key},{_text(item)}" for key, item in value.items())
    elif isinstance(value, list) and not param.explode:
        yield param.wire, DELIMITERS.get(param.style, ",").join(map(_text, value))
    else:
        for item in value if isinstance(value, list) else [value]:
            yield param.wire, _text(item)


def _encoded(media: str, value: Any) -> bytes:
    if media == TEXT:
        return str(value).encode("utf-8", "replace")
    if media == FORM:
        fields = value.items() if isinstance(value, dict) else ()
        pairs = [(key, item) for key, items in fields for item in (items if isinstance(items, list) else [items])]
        return urlencode([(key, _text(item)) for key, item in pairs], errors="replace").encode()
    return msgspec.json.encode(value)


def _text(value: Any) -> str:
    """Return a value as the text that stands for it in a URL."""
    if isinstance(value, str):
        return value
    # JSON's forms, such as `true`, and not those of Python.
    return msgspec.json.encode(value).decode()
