"""Sets of tools: every change makes another hash, and hostile lists are refused."""

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.tools.mcp_client.fake import SCHEMA
from tools.mcp_client.tool_set import (
    FIELDS,
    MAX_DESCRIPTION_CHARS,
    MAX_SET_BYTES,
    MAX_TOOLS,
    InvalidToolSet,
    ToolSet,
    description,
    difference,
    parameters,
    report,
    tool_set,
    unusable,
)

MUTATIONS = 240
TOOLS: list[dict[str, Any]] = [
    {
        "name": f"tool{number}",
        "description": f"Description {number}.",
        "inputSchema": {
            "type": "object",
            "properties": {"path": {"type": "string", "description": "A path."}, "count": {"type": "integer"}},
            "required": ["path"],
        },
        "annotations": {"readOnlyHint": True, "title": f"Tool {number}"},
    }
    for number in range(6)
]


def mutated(random_source: random.Random) -> list[dict[str, Any]]:
    """Return the tools with one change."""
    tools = copy.deepcopy(TOOLS)
    place = random_source.randrange(len(tools))
    tool, number = tools[place], random_source.randrange(10**6)
    schema = tool["inputSchema"]
    changes: dict[str, Callable[[], Any]] = {
        "new": lambda: tools.insert(place, {**copy.deepcopy(tool), "name": f"new{number}"}),
        "gone": lambda: tools.pop(place),
        "renamed": lambda: tool.update(name=f"{tool['name']}_{number}"),
        "case": lambda: tool.update(name=tool["name"].upper()),
        "description": lambda: tool.update(description=f"{tool['description']} {number}"),
        "invisible": lambda: tool.update(description=tool["description"] + "\u200b" * (1 + number % 3)),
        "no description": lambda: tool.pop("description"),
        "title": lambda: tool.update(title=f"Title {number}"),
        "param": lambda: schema["properties"].update({f"p{number}": {"type": "string"}}),
        "type": lambda: schema["properties"]["count"].update(type="number"),
        "param's description": lambda: schema["properties"]["path"].update(description=f"Send {number}."),
        "required": lambda: schema["required"].append("count"),
        "additional": lambda: schema.update(additionalProperties=False),
        "hint": lambda: tool["annotations"].update(readOnlyHint=False),
        "output": lambda: tool.update(outputSchema={"type": "object", "title": str(number)}),
    }
    random_source.choice(list(changes.values()))()
    return tools


def test_no_change_keeps_the_hash() -> None:
    accepted = tool_set(TOOLS)
    source = random.Random(7)
    for _ in range(MUTATIONS):
        found = tool_set(mutated(source))
        assert found.sha256 != accepted.sha256
        assert difference(accepted, found)


def reordered(value: Any, source: random.Random) -> Any:
    if isinstance(value, dict):
        items = list(value.items())
        source.shuffle(items)
        return {name: reordered(item, source) for name, item in items}
    return value


def test_order_of_tools_and_fields_makes_no_difference() -> None:
    accepted, source = tool_set(TOOLS), random.Random(8)
    for _ in range(50):
        tools = [reordered(tool, source) for tool in TOOLS]
        source.shuffle(tools)
        assert tool_set(tools).sha256 == accepted.sha256
        assert not difference(accepted, tool_set(tools))


def test_fields_outside_of_the_commitment_are_left_out() -> None:
    assert tool_set([{**TOOLS[0], "_meta": {"time": 1}, "icons": []}]) == tool_set(TOOLS[:1])
    assert set(tool_set(TOOLS).tools[0]) <= set(FIELDS)


def test_difference_names_each_kind() -> None:
    changed = {**TOOLS[1], "description": "Other.", "inputSchema": SCHEMA}
    renamed = {**TOOLS[2], "name": "other"}
    new = {"name": "fresh", "inputSchema": SCHEMA}
    found = difference(tool_set(TOOLS[:4]), tool_set([TOOLS[0], changed, renamed, new]))
    assert (found.new, found.gone, found.renamed) == (("fresh",), ("tool3",), {"tool2": "other"})
    assert found.changed == {"tool1": ("description", "inputSchema")}


def test_report_shows_a_changed_tool_whole_and_escaped() -> None:
    lines = list(report(tool_set(TOOLS[:1]), tool_set([{**TOOLS[0], "description": "\x1b[2J\u202eevil"}])))
    assert lines[0] == "changed: tool0"
    assert '-  "description": "Description 0.",' in lines
    assert '+  "description": "\\u001b[2J\\u202eevil",' in lines
    assert any('"readOnlyHint": true' in line for line in lines)
    assert next(report(ToolSet(), tool_set(TOOLS[:1]))) == "new: tool0"


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": "#"}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ([{"name": "a"}] * 2, "the tool 'a' twice"),
        ([{"name": "\x1b]0;x"}] * 2, "twice"),
        ([{"name": ""}], "without a name"),
        ([{"name": 7}], "without a name"),
        ([{}], "without a name"),
        ([{"name": f"t{number}"} for number in range(MAX_TOOLS + 1)], f"more than {MAX_TOOLS} tools"),
        ([{"name": "a", "description": "x" * MAX_SET_BYTES}], "bytes"),
        ([{"name": "a", "description": "\ud800"}], "cannot be stored"),
        ([{"name": "a", "inputSchema": nested(98)}], "nested more than 100 levels"),
        ([{"name": "a", "inputSchema": nested(900)}], "nested more than 100 levels"),
        ([{"name": "a", "inputSchema": nested(20_000)}], "cannot be stored"),
    ],
)  # fmt: skip
def test_hostile_list_is_refused(tools: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InvalidToolSet) as caught:
        tool_set(tools)
    assert said in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "a b"}, {"name": "\u202ea"}, {"name": ".hidden"}, {"name": "x" * 81}, {"name": "a/b"}, {"name": "a\n"},
        {"name": "\u0430"}, {"inputSchema": None}, {"inputSchema": {"type": "array"}},
        {"inputSchema": {"type": "object", "properties": {"a": {"type": "no type"}}}},
        {"inputSchema": {"type": "object", "description": "x" * 100_000}},
        {"inputSchema": {"type": "object", "$ref": "https://evil.example/schema"}},
    ],
)  # fmt: skip
def test_tool_that_cannot_be_offered_has_a_reason(tool: dict[str, Any]) -> None:
    (reason,) = unusable(tool_set([{"name": "fine", "inputSchema": SCHEMA, **tool}])).values()
    assert reason.startswith("its ")


def test_texts_for_models_are_bounded_and_visible() -> None:
    tool = {"name": "a", "description": "\x1b[31m\u202e" + "x" * 100_000, "inputSchema": {"t\u200b": ["\x07", 1]}}
    assert len(description(tool)) == MAX_DESCRIPTION_CHARS
    assert description(tool).startswith("\ufffd[31m\ufffdx")
    assert parameters(tool) == {"t\ufffd": ["\ufffd", 1]}
