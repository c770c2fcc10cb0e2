"""The messages of the Model Context Protocol (MCP): JSON-RPC 2.0 requests, results and errors, as plain values.

In the protocol of 2026-07-28, each request stands for itself. The older ones begin with a handshake.

Sources: https://modelcontextprotocol.io/specification, https://www.jsonrpc.org/specification
"""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

import msgspec

HANDSHAKES: Final = ("2025-03-26", "2025-06-18", "2025-11-25")
STATELESS: Final = ("2026-07-28",)
VERSIONS: Final = (*HANDSHAKES, *STATELESS)

INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022

MAX_ID_CHARS: Final = 256
"""Characters of an id, and of a progress token."""

MAX_INTEGER: Final = 2**53
"""Integers beyond this are not the same number in every JSON parser (RFC 7493, section 2.2)."""

Id = str | int


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
    id: Id | None = None

    @property
    def meta(self) -> Mapping[str, Any]:
        """The metadata of the request. Raises `RpcError` if it is not an object."""
        meta = self.params.get("_meta", {})
        if not isinstance(meta, dict):
            raise RpcError(INVALID_PARAMS, "params._meta must be an object.")
        return meta

    @property
    def progress_token(self) -> Id | None:
        """The token under which the client wants progress; None if it wants none. Raises `RpcError`."""
        token = self.meta.get("progressToken")
        if token is not None and not is_id(token):
            error = f"progressToken must be a text of at most {MAX_ID_CHARS} characters, or an integer."
            raise RpcError(INVALID_PARAMS, error)
        return token


class RpcResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The client's answer to a request of the server. Without a `result`, the client failed with an `error`."""

    id: Id
    result: Mapping[str, Any] | None = None
    error: str = ""


def is_id(value: Any) -> TypeGuard[Id]:
    """Return whether a value may be an id or a progress token."""
    if isinstance(value, str):
        return len(value) <= MAX_ID_CHARS
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER


def id_of(message: Any) -> Id | None:
    """Return the id of a message; None if it has none that could be answered."""
    number = message.get("id") if isinstance(message, dict) else None
    return number if is_id(number) else None


def parse(message: Any) -> RpcRequest | RpcResponse:
    """Return the request, notification or response in a message. Raises `RpcError`."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "The body is not one JSON-RPC 2.0 message.")
    if "id" in message and not is_id(message["id"]):
        raise RpcError(
            INVALID_REQUEST, f"id must be a text of at most {MAX_ID_CHARS} characters, or an integer up to 2^53."
        )
    if "method" not in message:
        return _response(message)
    method, params = message["method"], message.get("params", {})
    if not isinstance(method, str) or not isinstance(params, dict):
        raise RpcError(INVALID_REQUEST, "method must be a text, and params an object.")
    return RpcRequest(method=method, params=params, id=message.get("id"))


def _response(message: Mapping[str, Any]) -> RpcResponse:
    answered, error = message.get("result"), message.get("error")
    if "id" not in message or isinstance(answered, dict) == isinstance(error, dict):
        raise RpcError(INVALID_REQUEST, "A message has a method, or an id with a result or an error as an object.")
    if isinstance(answered, dict):
        return RpcResponse(id=message["id"], result=answered)
    problem = error.get("message") if isinstance(error, dict) else None
    return RpcResponse(id=message["id"], error=problem if isinstance(problem, str) and problem else "an error")


def request(number: Id, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request of the server."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params)}


def progress(token: Id, count: int, message: str) -> dict[str, Any]:
    """Return a notification of progress. `count` is larger than that of the one before."""
    params = {"progressToken": token, "progress": count, "message": message}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


def result(number: Id, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a request."""
    return {"jsonrpc": "2.0", "id": number, "result": dict(fields)}


def failure(number: Id | None, error: RpcError) -> dict[str, Any]:
    """Return the answer to a request that failed."""
    data = {} if error.data is None else {"data": error.data}
    return {"jsonrpc": "2.0", "id": number, "error": {"code": error.code, "message": str(error), **data}}
