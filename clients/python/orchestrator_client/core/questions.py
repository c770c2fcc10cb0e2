"""Questions: the options of a run, and the body and the handlers that they make."""

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypedDict

import msgspec

from orchestrator_client.core import requests
from orchestrator_client.core.function_tools import ClientTool, FunctionTool
from orchestrator_client.core.requests import Request
from orchestrator_client.core.values import Execution

Tool = ClientTool | FunctionTool | Callable[..., Any]
Decide = Callable[[Execution], bool | None] | Callable[[Execution], Awaitable[bool | None]]
"""Decides about an execution that waits: True approves it, False denies it, None leaves it open."""

HANDLED: Final = frozenset({"client_tools", "attachments", "idempotency_key", "decide"})


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A tool of the service that runs before the model answers."""

    name: str
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of this machine. `media_type` is such as `image/png`."""

    media_type: str
    data: bytes


class WorkspaceImage(msgspec.Struct, frozen=True, kw_only=True):
    """A picture in the workspace."""

    path: str


class Handling(TypedDict, total=False):
    """The options of a run that is followed. They answer its questions while its events are read."""

    client_tools: Sequence[Tool]
    decide: Decide | None


class Options(Handling, total=False):
    """The options of a new run: the body of `POST /chat/stream`. One that is left out or None has its default."""

    session_id: str | None
    model: str | None
    provider: str | None
    tool_calls: Sequence[Call]
    attachments: Sequence[Image | WorkspaceImage]
    instructions: str | None
    tools: Sequence[str] | None
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: Sequence[str] | None
    seed: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    reasoning_effort: str | None
    reasoning: Literal["hide", "show"]
    output_schema: Mapping[str, Any] | None
    tool_choice: str | None
    parallel_tool_calls: bool | None
    extra_body: Mapping[str, Any] | None
    on_disconnect: Literal["cancel", "continue"]
    user: str
    metadata: Mapping[str, Any]
    idempotency_key: str | None


class Handlers(msgspec.Struct, frozen=True, kw_only=True):
    """The functions that answer a run's questions, the tools by their names."""

    functions: Mapping[str, FunctionTool]
    decide: Decide | None


def handlers(options: Handling, *, may_await: bool) -> Handlers:
    """Return the handlers of a run. Raise `TypeError` if one is async and the client is not."""
    tools = [_tool(tool) for tool in options.get("client_tools", ())]
    functions = {tool.name: tool for tool in tools if isinstance(tool, FunctionTool)}
    if not may_await and any(tool.is_async for tool in functions.values()):
        raise TypeError("A client tool is an async function. Give a plain function, or use AsyncClient.")
    return Handlers(functions=functions, decide=options.get("decide"))


def opening(message: str, options: Options, *, fresh_key: str) -> Request:
    """Return the request that starts a run. Raise `ValueError` and `TypeError` if a tool cannot be declared."""
    fields = {name: value for name, value in options.items() if name not in HANDLED and value is not None}
    tools = [_tool(tool) for tool in options.get("client_tools", ())]
    if tools:
        fields["client_tools"] = [tool.declaration if isinstance(tool, FunctionTool) else tool for tool in tools]
    if attachments := options.get("attachments"):
        fields["attachments"] = [_attachment(attachment) for attachment in attachments]
    # With a key of its own, the request can be repeated safely if its answer is lost.
    return requests.start({"message": message, **fields}, options.get("idempotency_key") or fresh_key)


def _tool(tool: Tool) -> ClientTool | FunctionTool:
    return tool if isinstance(tool, ClientTool | FunctionTool) else FunctionTool(tool)


def _attachment(attachment: Image | WorkspaceImage) -> dict[str, str]:
    if isinstance(attachment, WorkspaceImage):
        return {"path": attachment.path}
    return {"media_type": attachment.media_type, "data_base64": base64.b64encode(attachment.data).decode()}
