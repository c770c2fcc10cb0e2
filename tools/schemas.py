"""What the tools API gives."""

from typing import Any

from ninja import Schema


class ToolOut(Schema):
    """A registered tool; `parameters` is the JSON Schema of its params, `reason` says why it is off where it is."""

    name: str
    description: str
    parameters: dict[str, Any]
    effect: str
    policy: str
    enabled: bool
    reason: str | None


class ToolList(Schema):
    items: list[ToolOut]
    count: int
