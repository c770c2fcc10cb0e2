"""Covers `tools.execution.arguments`, `tools.execution.request`."""

from typing import Annotated, Any

import msgspec
import pytest

from tools.base import Tool, ToolRequest, tool
from tools.execution.arguments import coerce, decode_object
from tools.execution.request import parse_params
from tools.output.masking import Masker


async def work(
    *,
    path: str,
    limit: Annotated[int, msgspec.Meta(ge=1)] = 5,
    share: float = 0.5,
    recursive: bool = False,
    words: list[str] | None = None,
    glob: str | None = None,
) -> dict[str, Any]:
    """Works."""
    return {}


@pytest.fixture
def worker() -> Tool:
    return tool("work", "read", work)


@pytest.mark.parametrize(
    "text", ['{"a": 1', "[1]", '"a"', "7", '{"a": 1} {"b": 2}', '{"a": 1} and so on', "```", "{" * 9_999]
)
def test_text_that_is_no_object_is_none(text: str) -> None:
    assert decode_object(text) is None


@pytest.mark.parametrize("text", ["", " \n", "null", '""', "{}", "```json\n{}\n```"])
def test_nothing_and_null_are_no_arguments(text: str) -> None:
    assert decode_object(text) == {}


@pytest.mark.parametrize(
    "text",
    ['{"a": "x"}', '{"a": "x"}\n```', '```json\n{"a": "x"}\n```', '{"a": "x"}<|call|>', '"{\\"a\\": \\"x\\"}"'],
)
def test_object_is_found_within_its_wrapping(text: str) -> None:
    assert decode_object(text) == {"a": "x"}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"limit": "5"}, {"limit": 5}),
        ({"limit": 5.0}, {"limit": 5}),
        ({"limit": " 5.0 "}, {"limit": 5}),
        ({"share": "0.25"}, {"share": 0.25}),
        ({"recursive": "True"}, {"recursive": True}),
        ({"recursive": None}, {}),
        ({"glob": None}, {}),
        ({"words": '["a", "b"]'}, {"words": ["a", "b"]}),
        ({"path": "5", "glob": "null"}, {"path": "5", "glob": "null"}),
    ],
)
def test_value_is_taken_for_what_the_model_meant(worker: Tool, given: Any, meant: Any) -> None:
    assert coerce(given, worker.params) == meant


@pytest.mark.parametrize(
    "given",
    [
        {"limit": "five"},
        {"share": "1e999"},
        {"limit": 5.5},
        {"limit": "0"},
        {"limit": True},
        {"recursive": 1},
        {"recursive": "yes"},
        {"path": None},
        {"path": 5},
        {"words": "a b"},
        {"words": "[1]"},
        {"unknown": "5"},
    ],
)
def test_value_in_doubt_stays_as_it_is(worker: Tool, given: Any) -> None:
    assert coerce(given, worker.params) == given


def test_caller_is_taken_literally(worker: Tool) -> None:
    request = ToolRequest(tool="work", arguments='{"path": "a", "limit": "5", "glob": null}', source="caller")
    given = {"path": "a", "limit": "5", "glob": None}
    assert parse_params(request, worker, Masker([])).given == given
    null = ToolRequest(tool="work", arguments="null", source="caller")
    assert parse_params(null, worker, Masker([])).stored == "null"
