"""The client of a request: its protocol, and whether it can ask its user.

Clients of 2026-07-28 state both in each request. Older ones do so in their handshake.
"""

import base64
import binascii
from typing import Any, Final

import msgspec

from tools.mcp_server.messages.protocol import (
    HANDSHAKES,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    STATELESS,
    UNSUPPORTED_VERSION,
    VERSIONS,
    RpcError,
    RpcRequest,
)

VERSION: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
ASKABLE: Final = frozenset({"2025-06-18", "2025-11-25", *STATELESS})
"""The protocols with elicitation."""

ENCODED: Final = ("=?base64?", "?=")
"""The marks around a header value that is not plain ASCII."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """The client of a request. `link` names its handshake; it is empty without one.

    If it `elicits`, it shows a form to its user and returns the answer.
    """

    version: str = HANDSHAKES[0]
    elicits: bool = False
    link: str = ""

    @property
    def is_stateless(self) -> bool:
        return self.version in STATELESS


class RoutingHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """The headers of a request over HTTP that repeat parts of its body. They are empty if they are missing."""

    version: str
    method: str
    name: str


def elicits(version: str, capabilities: Any) -> bool:
    """Return whether a client with these capabilities shows forms to its user."""
    declared = capabilities.get("elicitation") if isinstance(capabilities, dict) else None
    # An empty object stands for forms, which came before the other modes.
    return version in ASKABLE and isinstance(declared, dict) and (not declared or "form" in declared)


def check_version(version: str) -> None:
    """Raise `RpcError` if the version is not one of those that the server has."""
    if version not in VERSIONS:
        supported = {"supported": list(VERSIONS), "requested": version[:80]}
        error = f"Unsupported protocol version {version[:80]!r}. Supported: {', '.join(VERSIONS)}."
        raise RpcError(UNSUPPORTED_VERSION, error, supported)


def is_stateless(request: RpcRequest, headers: RoutingHeaders | None) -> bool:
    """Return whether the request is one of the stateless protocol. Raises `RpcError`."""
    return (headers is not None and headers.version in STATELESS) or VERSION in request.meta


def stateless_client(request: RpcRequest, headers: RoutingHeaders | None) -> Client:
    """Return the client of a stateless request. Over HTTP, the headers must agree with the body. Raises `RpcError`."""
    missing = [key for key in (VERSION, CAPABILITIES) if key not in request.meta]
    if missing:
        raise RpcError(INVALID_PARAMS, f"params._meta must have {' and '.join(missing)}.")
    version, capabilities = request.meta[VERSION], request.meta[CAPABILITIES]
    if headers is not None:
        _check_headers(request, version, headers)
    if not isinstance(version, str) or not isinstance(capabilities, dict):
        raise RpcError(INVALID_PARAMS, f"{VERSION} must be a text, and {CAPABILITIES} an object.")
    check_version(version)
    if version not in STATELESS:
        raise RpcError(INVALID_PARAMS, f"The protocol {version} begins with initialize, without {VERSION}.")
    return Client(version=version, elicits=elicits(version, capabilities))


def _check_headers(request: RpcRequest, version: Any, headers: RoutingHeaders) -> None:
    """Raise `RpcError` if a header says something else than the body: a proxy would route by it."""
    wanted = {"MCP-Protocol-Version": (headers.version, version), "Mcp-Method": (headers.method, request.method)}
    if request.method == "tools/call":
        wanted["Mcp-Name"] = (_decoded(headers.name), request.params.get("name"))
    for header, (found, expected) in wanted.items():
        if found != expected:
            raise RpcError(HEADER_MISMATCH, f"The header {header} must have the value that is in the body.")


def _decoded(value: str) -> str:
    """Return the value of a header, which may be encoded; empty if it cannot be read."""
    if not (value.startswith(ENCODED[0]) and value.endswith(ENCODED[1])):
        return value
    try:
        return base64.b64decode(value[len(ENCODED[0]) : -len(ENCODED[1])], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
