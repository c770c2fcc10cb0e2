"""The declarations of client tools in a request, checked as a whole."""

import json
from collections.abc import Sequence
from typing import Any, Final

from chat.api.request_schemas import ClientToolIn
from tools.client_tools.declared import ClientTool
from tools.registry import wire_name
from web.errors import ApiError
from web.json_schema import InvalidSchema, compiled

MAX_BYTES: Final = 64 * 1_024
"""Bytes of all declarations together, as JSON."""

MAX_DEPTH: Final = 32
"""Nesting of a schema. The services have limits of their own."""

CODE: Final = "invalid_client_tool"


def client_tools(declared: Sequence[ClientToolIn], server_tools: Sequence[str]) -> tuple[ClientTool, ...]:
    """Return the tools that a client declares beside the `server_tools`. Raises `ApiError` (422)."""
    size = len(json.dumps([tool.model_dump() for tool in declared]))
    if size > MAX_BYTES:
        raise _invalid("client_tools", f"they have {size} bytes as JSON, and may have {MAX_BYTES}")
    # A service is sent `fs_read` for `fs.read`, so a model could not tell the two apart.
    taken = {*server_tools, *map(wire_name, server_tools)}
    own: set[str] = set()
    for number, tool in enumerate(declared):
        field = f"client_tools.{number}"
        if tool.name in taken:
            raise _invalid(f"{field}.name", f"the service has a tool {tool.name} itself")
        if tool.name in own:
            raise _invalid(f"{field}.name", f"{tool.name} is declared twice")
        own.add(tool.name)
        if tool.parameters.get("type") != "object":
            raise _invalid(f"{field}.parameters", 'the schema of params has the type "object"')
        if _depth(tool.parameters) > MAX_DEPTH:
            raise _invalid(f"{field}.parameters", f"the schema is nested more than {MAX_DEPTH} deep")
        try:
            compiled(json.dumps(tool.parameters))
        except InvalidSchema as error:
            raise _invalid(f"{field}.parameters", str(error)) from None
    return tuple(
        ClientTool(name=tool.name, description=tool.description, parameters=tool.parameters) for tool in declared
    )


def _depth(value: Any) -> int:
    """Return the nesting of a JSON value, which the parser of the body has bounded."""
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)


def _invalid(field: str, problem: str) -> ApiError:
    return ApiError(422, CODE, f"{field}: {problem}.", detail=[{"field": field, "error": problem}])
