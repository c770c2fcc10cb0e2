"""The methods of the MCP server, for the clients of all its protocols."""

from collections.abc import Mapping
from typing import Any, Final

from access.caller import Caller, require
from tools.approvals.api import decide
from tools.mcp_server import offered
from tools.mcp_server.calls import open_calls
from tools.mcp_server.calls.requests import CallRequest, StartedCall, started
from tools.mcp_server.messages.clients import (
    Client,
    RoutingHeaders,
    elicits,
    is_stateless,
    stateless_client,
)
from tools.mcp_server.messages.protocol import (
    HANDSHAKES,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    STATELESS,
    RpcError,
    RpcRequest,
    RpcResponse,
    is_id,
)
from tools.mcp_server.messages.questions import APPROVE, Answer, answer_of, asked_about
from tools.mcp_server.results import marked, server_info

CAPABILITIES: Final = {"tools": {"listChanged": False}}
CACHING: Final = {"ttlMs": 0, "cacheScope": "private"}
INSTRUCTIONS: Final = "Paths are relative to the caller's workspace. Each call of a tool is recorded."


def client_of(request: RpcRequest, headers: RoutingHeaders | None, known: Client) -> Client:
    """Return the client of a request; `known` is that of its handshake, if it is not stateless. Raises `RpcError`."""
    if is_stateless(request, headers):
        return stateless_client(request, headers)
    return known


def greeted(request: RpcRequest) -> Client:
    """Return the client that begins with this handshake."""
    wanted = request.params.get("protocolVersion")
    version = wanted if wanted in HANDSHAKES else HANDSHAKES[-1]
    return Client(version=version, elicits=elicits(version, request.params.get("capabilities")))


async def answer(
    request: RpcRequest, caller: Caller, client: Client, *, streams: bool, reference: str
) -> Mapping[str, Any] | StartedCall:
    """Return the result of a request, or the call that makes it. Raises `RpcError`.

    A transport that `streams` carries messages to the client before the response.
    """
    if request.method == "initialize":
        fields = {
            "protocolVersion": greeted(request).version,
            "capabilities": CAPABILITIES,
            "serverInfo": server_info(),
        }
        return {**fields, "instructions": INSTRUCTIONS}
    if request.method == "server/discover":
        fields = {"supportedVersions": list(STATELESS), "capabilities": CAPABILITIES, "instructions": INSTRUCTIONS}
        return marked({**fields, **CACHING}, client)
    if request.method == "ping":
        return marked({}, client)
    if request.method == "tools/list":
        return marked({"tools": offered.described(caller), **CACHING}, client)
    if request.method == "tools/call":
        call = CallRequest.of(request, caller)
        return started(call, caller, client, streams=streams, reference=reference)
    raise RpcError(METHOD_NOT_FOUND, f"There is no method {request.method[:80]!r}.")


async def take_response(response: RpcResponse, caller: Caller) -> bool:
    """Record the decision in the client's answer to a question; return False if there was no such question.

    Raises `RpcError` for an answer that is none, and `ApiError` (403, 404, 409).
    """
    asked = asked_about(response.id)
    if asked is None:
        return False
    execution_id, params_sha256 = asked
    given = Answer(verdict="denied", note="The client could not ask its user.")
    if response.result is not None:
        given = answer_of(response.result)
    require(caller, (APPROVE,))
    await decide(caller.owner, execution_id, given.verdict, params_sha256=params_sha256, note=given.note)
    return True


async def take_notification(request: RpcRequest, caller: Caller, client: Client) -> None:
    """Cancel the call that a notification names. All others change nothing. Raises `RpcError`."""
    if request.method != "notifications/cancelled":
        return
    number = request.params.get("requestId")
    if number is None or not is_id(number):
        raise RpcError(INVALID_PARAMS, "requestId must be the id of a request: a text or an integer.")
    await open_calls.current().cancel(open_calls.reference_of(number, caller, client.link), caller)
