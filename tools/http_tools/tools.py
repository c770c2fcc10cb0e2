"""The tools of HTTP services. Nothing connects to a service before one of its tools is called."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from tools.base import Execution, JsonParams, Tool, ToolError, ToolSpec, json_facets, json_implied
from tools.http_tools.client import HttpAnswer, HttpClient
from tools.http_tools.operations import Operation
from tools.http_tools.requests import HttpRequest, request_of
from tools.http_tools.services import HttpService

HasSecret = Callable[[str], bool]
"""Returns whether a text has a secret in it."""

Check = Callable[[Any], Awaitable[HttpRequest]]
"""Returns the request of valid params. Raises `ToolError` if it cannot be sent."""


def http_tools(service: HttpService, client: HttpClient, has_secret: HasSecret) -> Iterator[Tool]:
    """Yield the tools of a service."""
    for found in service.tools:

        async def check(params: Any, operation: Operation = found.operation) -> HttpRequest:
            # What cannot be sent needs no approval.
            if has_secret(msgspec.json.encode(params.given).decode()):
                what = f"The params contain a secret, which is not sent to {service.name}."
                raise ToolError(what, code="not_allowed")
            return request_of(operation, service.server, params.given)

        async def run(params: Any, execution: Execution, check: Check = check) -> HttpAnswer:
            return await client.send(await check(params))

        yield Tool(
            spec=ToolSpec(
                name=found.name, description=found.operation.description, parameters=msgspec.json.decode(found.schema)
            ),
            effect=service.effect,
            params=JsonParams,
            run=run,
            confinement="http",
            facets=json_facets,
            implied=json_implied,
            precheck=check,
            schema=found.schema,
            taints="web",
        )
