"""The requests that calls become."""

from pathlib import Path
from typing import Any

import pytest

from tests.tools.http_tools.documents import service
from tools.base import ToolError
from tools.http_tools.requests import HttpRequest, request_of

SERVER = "https://eu.tracker.example/v1"


@pytest.fixture
def request_for(tmp_path: Path) -> Any:
    """Return a function that makes the request of an operation."""
    operations = {tool.operation.name: tool.operation for tool in service(tmp_path).tools}

    def make(name: str, **given: Any) -> HttpRequest:
        return request_of(operations[name], SERVER, given)

    return make


@pytest.mark.parametrize(
    ("given", "query"),
    [
        ({}, ""),
        ({"label": ["a b", "c&d"]}, "?label=a+b&label=c%26d"),
        ({"ids": [1, 2]}, "?ids=1%2C2"),
        ({"limit": 3}, "?limit=3"),
        ({"filter": {"state": "open", "x]": True}}, "?filter%5Bstate%5D=open&filter%5Bx%5D%5D=true"),
        ({"label": ["#x?y=z", "ü"]}, "?label=%23x%3Fy%3Dz&label=%C3%BC"),
        ({"limit": None}, ""),
    ],
)
def test_query_is_encoded_as_the_document_says(request_for: Any, given: dict[str, Any], query: str) -> None:
    assert request_for("listIssues", **given).url == f"{SERVER}/issues{query}"


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("7", "7"),
        ("group/project", "group%2Fproject"),
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("%2e%2e", "%252e%252e"),
        ("\r\nHost: evil", "%0D%0AHost%3A%20evil"),
        ("@evil.example", "%40evil.example"),
        ("{id}", "%7Bid%7D"),
        ("...", "..."),
    ],
)
def test_value_in_the_path_stays_one_segment(request_for: Any, value: str, segment: str) -> None:
    assert request_for("getIssue", id=value).url == f"{SERVER}/issues/{segment}"


@pytest.mark.parametrize(
    "value", ["", ".", "..", "../../admin", "a/../../admin", "a/..", "..;/admin", "..\\admin", "./a", "a/."]
)
def test_value_that_would_leave_its_segment_is_refused(request_for: Any, value: str) -> None:
    with pytest.raises(ToolError, match="id is part of the path") as refusal:
        request_for("getIssue", id=value)
    assert refusal.value.code == "invalid_params"


def test_bodies_are_sent_in_their_media_type(request_for: Any) -> None:
    assert request_for("create_issue", body={"title": "ä"}).body == '{"title":"ä"}'.encode()
    form = request_for("send", body={"a": "x y", "b": [1, True]})
    assert (form.body, form.headers["Content-Type"]) == (b"a=x+y&b=1&b=true", "application/x-www-form-urlencoded")
    assert request_for("note", body="ä").headers["Content-Type"] == "text/plain; charset=utf-8"
    assert request_for("delete_issues_id", id="1").body is None


def test_header_params_cannot_begin_another_header(request_for: Any) -> None:
    assert request_for("listIssues", **{"X-Team": "blue"}).headers == {"X-Team": "blue"}
    for value in ("a\r\nHost: evil", "ä", "a\x00"):
        with pytest.raises(ToolError, match="a character that an HTTP header cannot have"):
            request_for("listIssues", **{"X-Team": value})


def test_long_url_is_refused(request_for: Any) -> None:
    with pytest.raises(ToolError, match="longer than 8000 characters"):
        request_for("listIssues", label=["x" * 9_000])
