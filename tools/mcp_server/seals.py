"""Signed texts that clients keep for the server: the handshake of a client, and the state of a call that waits."""

import secrets
from typing import Any, Final, TypeVar

import msgspec
from django.core import signing

from access.caller import Caller
from tools.mcp_server.messages.clients import Client

MAX_CHARS: Final = 2_048
"""Characters of a signed text. Longer ones are not read."""

S = TypeVar("S", bound=msgspec.Struct)


class Handshake(msgspec.Struct, frozen=True, kw_only=True):
    """The handshake of a client of the `holder`'s key. `nonce` makes it unlike all others."""

    holder: str
    version: str
    elicits: bool
    nonce: str


class CallState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a call of the tool `name` that waits for a decision about an execution.

    For a call of an agent, it names the run, and the number of its last event that the client has.
    """

    holder: str
    name: str
    execution_id: str
    params_sha256: str
    run_id: str = ""
    cursor: int = 0


def holder_of(caller: Caller) -> str:
    """Return the text that stands for the caller's key in signed texts."""
    return str(caller.key or caller.name)


def session_of(caller: Caller, client: Client) -> str:
    """Return the session id of a new client: its signed handshake."""
    nonce = secrets.token_urlsafe(12)
    return _sealed(Handshake(holder=holder_of(caller), version=client.version, elicits=client.elicits, nonce=nonce))


def client_of(session: str, caller: Caller) -> Client | None:
    """Return the client with this session id; None if the service did not give it to the caller."""
    handshake = _opened(session, Handshake)
    if handshake is None or handshake.holder != holder_of(caller):
        return None
    return Client(version=handshake.version, elicits=handshake.elicits, link=handshake.nonce)


def sealed_state(state: CallState) -> str:
    """Return the state of a call as the client keeps it."""
    return _sealed(state)


def opened_state(text: Any, caller: Caller, name: str) -> CallState | None:
    """Return the state of a call of this tool; None if the service did not give it to the caller for that."""
    state = _opened(text, CallState) if isinstance(text, str) else None
    return state if state is not None and (state.holder, state.name) == (holder_of(caller), name) else None


def _sealed(value: msgspec.Struct) -> str:
    return signing.dumps(msgspec.to_builtins(value), salt=type(value).__name__)


def _opened(text: str, kind: type[S]) -> S | None:
    if len(text) > MAX_CHARS:
        return None
    try:
        # The salt differs for each kind, so that one cannot be taken for another.
        return msgspec.convert(signing.loads(text, salt=kind.__name__), kind)
    except (signing.BadSignature, msgspec.ValidationError):
        return None
