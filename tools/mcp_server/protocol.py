"""The messages of the Model Context Protocol (MCP): JSON-RPC 2.0 requests, results and errors, as plain values.

In the protocol of 2026-07-28, each request stands for itself. The older ones begin with a handshake. A server without
state can answer both on one path.

Sources: https://modelcontextprotocol.io/specification, https://www.jsonrpc.org/specification
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

HANDSHAKES: Final = ("2025-03-26", "2025-06-18", "2025-11-25")
STATELESS: Final = ("2026-07-28",)
VERSIONS: Final = (*HANDSHAKES, *STATELESS)

INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
UNSUPPORTED_VERSION: Final = -32022


class RpcError(Exception):
    """A request that gets an error instead of a result."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class RpcRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request, or without an id a notification, which gets no answer."""

    method: str
    params: Mapping[str, Any] = {}
    id: str | int | None = None


def parse(message: Any) -> RpcRequest | None:
    """Return the request in a message; None for the answer to a request. Raises `RpcError`."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "The body is not one JSON-RPC 2.0 message.")
    if "method" not in message:
        return None
    number = message.get("id")
    method, params = message["method"], message.get("params", {})
    if not isinstance(method, str) or not isinstance(params, dict) or isinstance(number, bool):
        raise RpcError(INVALID_REQUEST, "method must be a text, and params an object.")
    if number is not None and not isinstance(number, str | int):
        raise RpcError(INVALID_REQUEST, "id must be a text or a number.")
    return RpcRequest(method=method, params=params, id=number)


def result(request: RpcRequest, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a request."""
    return {"jsonrpc": "2.0", "id": request.id, "result": dict(fields)}


def failure(number: str | int | None, error: RpcError) -> dict[str, Any]:
    """Return the answer to a request that failed."""
    data = {} if error.data is None else {"data": error.data}
    return {"jsonrpc": "2.0", "id": number, "error": {"code": error.code, "message": str(error), **data}}
