"""Client tools: tools that the caller of a run declares, and that its client runs."""

from typing import Any

import msgspec

from tools.base import ToolError, ToolSpec
from web.json_schema import problem_of


class ClientTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the client runs. `parameters` is the JSON Schema of its params, which was checked before."""

    name: str
    description: str
    parameters: dict[str, Any]

    @property
    def spec(self) -> ToolSpec:
        """The tool as it is described to a model."""
        return ToolSpec(name=self.name, description=self.description, parameters=self.parameters, by_client=True)

    def check(self, params: Any) -> None:
        """Check that params match the schema. Raises `ToolError` (`invalid_params`)."""
        schema = msgspec.json.encode(self.parameters).decode()
        if (problem := problem_of(schema, params)) is not None:
            fields = ", ".join(self.parameters.get("properties", ())) or "no params"
            raise ToolError(f"The params do not match the schema {problem}. It has: {fields}.", code="invalid_params")
