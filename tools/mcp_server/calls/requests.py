"""Requests of `tools/call`: a tool or the agent, new or continued with the answer to a question."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec

from access.caller import Caller
from tools import conf
from tools.mcp_server import offered
from tools.mcp_server.calls.exchange import Exchange, OnWaits
from tools.mcp_server.calls.tool_calls import ToolCall, record
from tools.mcp_server.messages.clients import Client
from tools.mcp_server.messages.protocol import INVALID_PARAMS, Id, RpcError, RpcRequest
from tools.mcp_server.messages.questions import APPROVE, KEY, Answer, answer_of
from tools.mcp_server.messages.steps import ClientCall, Ended, Waits
from tools.mcp_server.results import INPUT_REQUIRED, marked
from tools.mcp_server.seals import CallState, holder_of, opened_state, sealed_state

FORGED: Final = "requestState is not one that the service gave to this key for this tool. Send the call without it."
HOW: Final = (
    "awaiting_approval: {tool} waits until {until} for an approval of execution {id}. Approve or deny it in the "
    "console, with `orchestrator approve_tool {id}`, or with POST /tools/executions/{id}/approve and its params_sha256 "
    "{sha256}. {then}"
)
REPEAT: Final = "Then repeat the call with the same arguments: it runs once."


class CallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to call a tool. `state` and `answer` belong to a call that waited."""

    id: Id
    name: str
    arguments: Mapping[str, Any]
    token: Id | None = None
    state: CallState | None = None
    answer: Answer | None = None

    @classmethod
    def of(cls, request: RpcRequest, caller: Caller) -> "CallRequest":
        """Read a request. Raises `RpcError`."""
        params = request.params
        # A client may send null for fields that it leaves out.
        name, arguments = params.get("name"), params.get("arguments")
        arguments = {} if arguments is None else arguments
        if not isinstance(name, str) or not isinstance(arguments, dict) or request.id is None:
            raise RpcError(INVALID_PARAMS, "tools/call takes a name, and arguments as an object.")
        state = params.get("requestState")
        opened = None if state is None else opened_state(state, caller, name)
        if state is not None and opened is None:
            raise RpcError(INVALID_PARAMS, FORGED)
        responses = params.get("inputResponses")
        responses = {} if responses is None else responses
        if not isinstance(responses, dict):
            raise RpcError(INVALID_PARAMS, "inputResponses must be an object.")
        answered = opened is not None and KEY in responses
        return cls(
            id=request.id,
            name=name,
            arguments=arguments,
            token=request.progress_token,
            state=opened,
            answer=answer_of(responses[KEY]) if answered else None,
        )


class StartedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call under way. If it `talks`, it has messages for the client before its response."""

    exchange: Exchange
    talks: bool


def started(request: CallRequest, caller: Caller, client: Client, *, streams: bool, reference: str) -> StartedCall:
    """Return the call of a request. Raises `RpcError`."""
    agent = offered.agent_of(caller)
    asks = client.elicits and not client.is_stateless and streams and caller.scopes.may(APPROVE)
    state, answer = request.state, request.answer
    call: ClientCall
    if agent is not None and request.name == agent.spec.name:
        call = agent.call(request.arguments, caller, reference)
        if state is not None:
            call = agent.resumed(state.run_id, state.cursor, caller, partial(record, answer, caller, state))
    elif request.name in offered.offered_to(caller):
        call = ToolCall(request.name, request.arguments, caller, reference, state=state, answer=answer)
        asks = asks and call.needs_approval
    else:
        raise RpcError(INVALID_PARAMS, f"There is no tool {request.name[:80]!r}; tools/list names the tools.")
    token = request.token if streams else None
    exchange = Exchange(
        request.id,
        call,
        _on_waits(request, caller, client, asks=asks),
        finish=lambda fields: marked(fields, client),
        token=token,
        heartbeat=conf.heartbeat_seconds(),
    )
    return StartedCall(exchange=exchange, talks=asks or token is not None)


def _on_waits(request: CallRequest, caller: Caller, client: Client, *, asks: bool) -> OnWaits:
    def fields_of(waits: Waits) -> dict[str, Any] | None:
        if asks:
            return None
        question = waits.question
        if not (client.is_stateless and client.elicits and caller.scopes.may(APPROVE)):
            return marked(_awaiting(waits).fields, client)
        state = CallState(
            holder=holder_of(caller),
            name=request.name,
            execution_id=question.execution_id,
            params_sha256=question.params_sha256,
            run_id=waits.run_id,
            cursor=waits.cursor,
        )
        fields = {"inputRequests": {KEY: question.request}, "requestState": sealed_state(state)}
        return marked(fields, client, INPUT_REQUIRED)

    return fields_of


def _awaiting(waits: Waits) -> Ended:
    """Return the result of a call that waits for a decision that its client cannot get."""
    question = waits.question
    known = {
        "execution_id": question.execution_id,
        "tool": question.tool,
        "params_sha256": question.params_sha256,
        "expires_at": question.expires_at,
    }
    if waits.run_id:
        then = f"Then call agent.run with run_id {waits.run_id} for the answer."
        structured = {**waits.fields, "approval": known}
    else:
        then, structured = REPEAT, {"status": "awaiting_approval", **known}
    text = HOW.format(
        tool=question.tool,
        until=question.expires_at,
        id=question.execution_id,
        sha256=question.params_sha256,
        then=then,
    )
    # The run continues by itself, so its call has not failed.
    return Ended(text=text, structured=structured, is_error=not waits.run_id)
